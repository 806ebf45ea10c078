"""`list`: a doubly linked list (list_head); a search meets every entry from the head, whatever its interval."""

from .base import Index, Node


class LinkedList(Index):
    """A list of intervals; insertion and removal cost O(1), a search visits entries until it is done.

    >>> rows = LinkedList()
    >>> a, b = rows.insert("a", 0, 9), rows.insert("b", 5, 5, head=True)
    >>> list(rows)
    ['b', 'a']
    """

    ordered = False

    def __init__(self):
        super().__init__()
        self._count = 0
        self._head = self._tail = None

    def __len__(self):
        return self._count

    def insert(self, entry, start, last, head=False):
        """Adds at the tail, or at the head; returns the node."""
        return self._link(Node(entry, start, last), None if head else self._tail, self._head if head else None)

    def insert_after(self, entry, start, last, other):
        """Adds right behind the node `other`; returns the node."""
        return self._link(Node(entry, start, last), other, other.next)

    def insert_before(self, entry, start, last, other):
        """Adds right before the node `other`; returns the node."""
        return self._link(Node(entry, start, last), other.prev, other)

    def remove(self, node):
        """Takes a node out."""
        self.passed += 1
        if node.prev is None:
            self._head = node.next
        else:
            node.prev.next = node.next
        if node.next is None:
            self._tail = node.prev
        else:
            node.next.prev = node.prev
        self._count -= 1
        self._changed()

    def move(self, node, start, last):
        """Gives a node another interval; its place in the list stays."""
        node.start, node.last = start, last
        self._changed()

    def nodes_of(self, examined):
        """How many list nodes a search touched that examined so many entries."""
        return examined

    def _link(self, node, prev, next):
        self.passed += 1
        node.prev, node.next = prev, next
        if prev is None:
            self._head = node
        else:
            prev.next = node
        if next is None:
            self._tail = node
        else:
            next.prev = node
        self._count += 1
        self._changed()
        return node

    def _in_order(self):
        nodes, node = [], self._head
        while node is not None:
            nodes.append(node)
            node = node.next
        return nodes
