import json
from collections import Counter
from importlib.resources import files

import jsonschema
import msgspec
import pytest

from rmapmodel.errors import InputError
from rmapmodel.events import Brk, Exit, Fork, Header, Mmap, Mprotect, Mremap, Read, Reclaim, Spawn, Swapout, Write
from rmapmodel.trace import read, write
from rmapmodel.trace.workloads import PAGE_ORIGINS, WORKLOADS, generate, parse_params

PAGE = 4096
END = {"i386": 0xC0000000, "x86_64": 0x7FFFFFFFF000}
SMALL = {
    "test_mmap": {"cache_pages": 21}, "test_mmap2": {"cache_pages": 20, "forks": 3},
    "test_mmap3": {"cache_pages": 30, "forks": 2},
    "rmap_test_1": {"vmas": 5, "pages": 6, "children": 3, "passes": 2},
    "rmap_test_2": {"vmas": 5, "pages": 6, "children": 3, "passes": 2, "vmas_to_do": 4},
    "rmap_test_3": {"vmas": 40, "pages": 2}, "thousand_children": {"children": 10, "pages": 7},
    "fork_server": {"children": 3, "vmas": 4, "pages": 5, "written": 2},
    "mremap_inherited": {"processes": 4, "pages": 21, "moved": 0.3, "shared": 0.6},
    "mremap_repeated": {"processes": 3, "pages": 4, "moves": 7, "places": 2},
    "swap_pressure": {"children": 3, "pages": 20, "written": 5, "back": 6, "rounds": 4},
    "fork_chain": {"depth": 6, "pages": 3}, "fork_tree": {"forks": 9, "alive": 3, "pages": 2, "seed": 4},
    "split_flood": {"pieces": 9, "children": 3}, "page_origins": {"children": 3, "pages": 2, "keeper": 2},
}
every_workload = pytest.mark.parametrize("name", sorted(SMALL))


def made(name, **params):
    """The events of a workload, as a list."""
    return list(generate(name, **params)[1])


def run(events, end=END["x86_64"]):
    """Execute events a page at a time: {pid: {page: (frame, what keeps neighbours apart)}}. Asserts that each is legal.

    All page tables are copied by fork, as up to 2.6.13. Frames are numbers, of shared memory (object, page of it).
    """
    mms, number, used, breaks = {}, 0, Counter(), {}

    def take(mm, page):
        used[mm[page][0]] -= 1
        return mm.pop(page)

    for event in events:
        if isinstance(event, (Reclaim, Swapout, Read)):  # a page read back is the page that was swapped out
            continue
        if isinstance(event, Spawn):
            assert event.pid not in mms
            mms[event.pid] = {}
            continue
        mm = mms[event.pid]
        if isinstance(event, Fork):
            assert event.child not in mms
            mms[event.child] = dict(mm)
            if event.pid in breaks:
                breaks[event.child] = breaks[event.pid]
            used.update(frame for frame, _ in mm.values())
            continue
        if isinstance(event, Exit):
            used.subtract(frame for frame, _ in mms.pop(event.pid).values())
            continue
        if isinstance(event, Brk):
            assert event.addr % PAGE == 0
            for page in range(breaks.get(event.pid, event.addr) // PAGE, event.addr // PAGE):
                assert page not in mm
                mm[page] = None, ("rw-", None, None)
            breaks[event.pid] = event.addr
            continue
        assert event.addr % PAGE == 0 and event.len % PAGE == 0 and event.len
        assert 0x10000 <= event.addr < event.addr + event.len <= end
        pages = range(event.addr // PAGE, (event.addr + event.len) // PAGE)
        if isinstance(event, Mmap):
            number += 1
            for page in pages:
                if page in mm:
                    assert "fixed" in event.flags
                    take(mm, page)
                offset = page - pages[0] + event.offset // PAGE
                shared = "shared" in event.flags
                thing = (event.file or number, offset) if shared else None
                mm[page] = thing, (event.prot, event.file, offset - page if shared else None)
                used[thing] += 1
        elif isinstance(event, Mprotect):
            for page in pages:
                frame, (_, file, offset) = mm[page]
                mm[page] = frame, (event.prot, file, offset)
        elif isinstance(event, Write):
            for page in pages:
                frame, area = mm[page]
                assert area[0][1] == "w"
                if frame is None or isinstance(frame, int) and used[frame] > 1:
                    number += 1
                    take(mm, page)
                    mm[page] = number, area
                    used[number] += 1
        elif isinstance(event, Mremap):
            assert event.flags == ["maymove", "fixed"] and event.len == event.new_len
            assert event.new_addr % PAGE == 0 and 0x10000 <= event.new_addr <= end - event.new_len
            moved = [mm.pop(page) for page in pages]
            assert len({area for _, area in moved}) == 1
            for page, entry in enumerate(moved, event.new_addr // PAGE):
                assert page not in mm
                mm[page] = entry
        else:
            raise AssertionError(event)
    return mms


def vmas(mm):
    """The number of runs of pages that a vma could cover."""
    return sum(page - 1 not in mm or mm[page - 1][1] != area for page, (_, area) in mm.items())


def mapcounts(mms):
    return Counter(frame for mm in mms.values() for frame, _ in mm.values())


@pytest.mark.parametrize("name, mapped, processes, list_length, examinations", [
    ("test_mmap", 18000, 1, 18000, 3.24e8),
    ("test_mmap2", 1800, 32, 57600, 1.04e8),
    ("test_mmap3", 18000, 32, 576000, 1.04e10),
])
def test_molnars_programs_make_what_thread_2_6_lists(name, mapped, processes, list_length, examinations):
    mms = run(made(name), END["i386"])
    counts = mapcounts(mms)
    assert len(mms) == processes
    assert sum(map(vmas, mms.values())) == list_length == processes * mapped
    assert len(counts) == mapped and set(counts.values()) == {processes}
    assert list_length * mapped == pytest.approx(examinations, rel=0.01)
    assert sorted(page for _, page in counts) == list(range(1, mapped + 1))


def test_molnar_maps_and_writes_every_page_before_the_first_fork():
    kinds = [type(event) for event in made("test_mmap2")]
    assert kinds == [Spawn, Mmap] + [Mmap, Write] * 1800 + [Fork] * 31 + [Reclaim]


def test_molnars_window_runs_backwards_through_the_file():
    window, *mappings = [event for event in made("test_mmap2") if isinstance(event, Mmap)]
    assert (window.len, window.offset, window.flags) == (1800 * PAGE, 0, ["shared"])
    assert [event.addr for event in mappings] == [window.addr + i * PAGE for i in range(1800)]
    assert [event.offset for event in mappings] == [i * PAGE for i in range(1800, 0, -1)]
    assert {(event.len, event.prot, event.file, *event.flags) for event in mappings} == {
        (PAGE, "rw-", window.file, "shared", "fixed")}
    assert window.file.startswith("/dev/shm/")


def test_nested_forks_are_made_by_every_process():
    forks = [(event.pid, event.child) for event in made("test_mmap2") if isinstance(event, Fork)]
    assert Counter(pid for pid, _ in forks)[1] == 5
    assert [forks[start:end] for start, end in ((0, 1), (1, 3), (3, 7))] == [
        [(1, 2)], [(1, 3), (2, 4)], [(1, 5), (2, 6), (3, 7), (4, 8)]]
    assert sorted(child for _, child in forks) == list(range(2, 33))


@pytest.mark.parametrize("name, areas, pages, children, writes, ratio", [
    ("rmap_test_1", 100, 600, 100, 100 * 100 * 10, 100),
    ("rmap_test_2", 100, 600, 100, 100 * 1200, 100),
    ("rmap_test_3", 10000, 7, 1, 10000 * 10, 10000),
])
def test_mortons_programs(name, areas, pages, children, writes, ratio):
    events = made(name)
    counter, *mappings = [event for event in events if isinstance(event, Mmap)]
    kinds = "".join({Spawn: "s", Mmap: "m", Write: "w", Fork: "f", Reclaim: "r"}[type(event)] for event in events)
    assert kinds == "s" + "m" * (1 + areas) + "w" * (areas + 1) + "f" * children + "w" * writes + "r"
    assert (counter.len, counter.flags, counter.file) == (PAGE, ["shared", "anonymous"], None)
    assert [event.offset // PAGE for event in mappings] == [i * (pages + 1) for i in range(areas)]
    assert {(event.len // PAGE, event.prot, *event.flags) for event in mappings} == {(pages, "rw-", "shared")}
    processes = 1 + sum(isinstance(event, Fork) for event in events)
    assert processes == children + 1
    page = mappings[areas // 2].offset + PAGE
    useful = processes * sum(event.offset <= page < event.offset + event.len for event in mappings)
    assert len(mappings) * processes / useful == ratio
    touched = [event for event in events if isinstance(event, Write) and event.pid != 1]
    assert Counter(event.pid for event in touched) == dict.fromkeys(range(2, processes + 1), writes // children)


def test_rmap_test_2_writes_pages_of_its_mappings_all_over():
    events = made("rmap_test_2")
    ranges = [(event.addr, event.addr + event.len) for event in events if isinstance(event, Mmap) and event.file]
    touched = [event for event in events if isinstance(event, Write) and event.pid != 1]
    assert {event.len for event in touched} == {PAGE}
    hits = Counter((event.addr - ranges[0][0]) // (600 * PAGE) for event in touched)
    assert len(hits) == 100 and max(hits.values()) < 1500 and min(hits.values()) > 900
    assert len({event.addr for event in touched}) > 0.8 * 60_000


def test_seeds():
    assert made("rmap_test_2", seed=2) == made("rmap_test_2", seed=2) != made("rmap_test_2", seed=3)


def test_thousand_children():
    events = made("thousand_children")
    assert Counter(map(type, events)) == {Spawn: 1, Mmap: 1, Write: 1001, Fork: 1000, Reclaim: 1}
    assert {event.len for event in events if isinstance(event, Write)} == {1000 * PAGE}
    assert [type(event) for event in events[3:1003]] == [Fork] * 1000
    mms = run(made("thousand_children", children=30, pages=20))
    assert len(mms) == 31 and all(vmas(mm) == 1 for mm in mms.values())
    assert Counter(mapcounts(mms).values()) == {1: 31 * 20}


def test_swap_pressure():
    events = made("swap_pressure", children=3, pages=20, written=5, back=6, rounds=4)
    assert Counter(mapcounts(run(events)).values()) == {1: 3 * 5 + 5, 4: 15}
    assert sum(isinstance(event, Swapout) for event in events) == 4
    reads = [(event.pid, (event.addr - events[1].addr) // PAGE, event.len // PAGE) for event in events if isinstance(event, Read)]
    assert reads == [(pid, start, 6) for start in (0, 6, 12, 3) for pid in (1, 2, 3, 4)]  # 15 pages and 6 do not fit 20


def test_fork_server():
    mms = run(made("fork_server", children=10, vmas=20, pages=8, written=3))
    assert len(mms) == 11 and all(vmas(mm) == 20 for mm in mms.values())
    assert Counter(mapcounts(mms).values()) == {1: 20 * 3 * 11, 11: 20 * 5}
    assert not any(isinstance(event, Write) and event.pid > 1 for event in made("fork_server", written=0))


@pytest.mark.parametrize("moved, shared", [(0, 0), (0, 1), (1, 0), (1, 1), (0.25, 0.5), (0.5, 0.3)])
def test_mremap_inherited(moved, shared):
    pages, processes = 40, 5
    mms = run(made("mremap_inherited", processes=processes, pages=pages, moved=moved, shared=shared))
    counts = mapcounts(mms)
    moving = round(pages * moved)
    keep = round(moving * shared) + round((pages - moving) * shared)
    assert len(mms) == processes
    assert Counter(counts.values()) == +Counter({processes: keep, 1: (pages - keep) * processes})
    places = Counter(page for mm in mms.values() for page in mm)
    assert Counter(places.values()) == +Counter({processes: pages - moving}) + Counter({1: moving * processes})
    inherited = {frame for frame, _ in mms[1].values()}
    for pid in range(2, processes + 1):
        gone = [mms[pid][page][0] in inherited for page in mms[pid] if page not in mms[1]]
        assert len(gone) == moving and sum(gone) == round(moving * shared)


def test_mremap_inherited_writes_before_it_moves():
    last = [type(event) for event in made("mremap_inherited", processes=3)][-7:]
    assert last == [Write, Write, Mremap, Write, Write, Mremap, Reclaim]


def test_mremap_repeated_goes_out_and_comes_back():
    events = made("mremap_repeated", processes=3, pages=4, moves=7, places=2)
    mms = run(events)
    assert Counter(mapcounts(mms).values()) == {3: 4}
    home, visited = events[1].addr, {pid: [events[1].addr] for pid in (2, 3)}
    for event in events:
        if isinstance(event, Mremap):
            assert event.addr == visited[event.pid][-1]
            visited[event.pid].append(event.new_addr)
    for places in visited.values():
        assert len(places) == 8 and places[0] == places[3] == places[6] == home
        assert places[1] == places[4] == places[7] and places[2] == places[5] and len(set(places)) == 3
    assert not set(visited[2][1:3]) & set(visited[3][1:3])


def test_mremap_repeated_never_comes_back_where_it_has_as_many_places_as_moves():
    moved = [event.new_addr for event in made("mremap_repeated", processes=2, pages=1, moves=50) if isinstance(event, Mremap)]
    assert len(set(moved)) == 50


def test_fork_chain():
    stay, leave = (run(made("fork_chain", depth=9, pages=4, exits=exits)) for exits in (False, True))
    assert list(stay) == list(range(1, 11)) and list(leave) == [10]
    assert Counter(mapcounts(stay).values()) == {1: 40}
    kinds = [type(event) for event in made("fork_chain", depth=2)]
    assert kinds == [Spawn, Mmap, Write] + [Fork, Write, Exit] * 2 + [Reclaim]


@pytest.mark.parametrize("alive", [2, 5])
def test_fork_tree(alive):
    events = made("fork_tree", forks=40, alive=alive, seed=7)
    living = [sum(isinstance(event, Fork) for event in events[:at]) - sum(isinstance(event, Exit) for event in events[:at]) + 1
              for at in range(len(events))]
    assert (max(living), min(living), sum(isinstance(event, Fork) for event in events)) == (alive, 1, 40)
    assert made("fork_tree", forks=40, alive=alive, seed=8) != events


@pytest.mark.parametrize("pieces", [1, 2, 9, 100])
def test_split_flood(pieces):
    mms = run(made("split_flood", pieces=pieces, children=3))
    assert [vmas(mm) for mm in mms.values()] == [pieces] * 4
    assert Counter(mapcounts(mms).values()) == {4: pieces}


@pytest.mark.parametrize("children, pages", [(1, 1), (2, 1), (6, 3)])
def test_page_origins(children, pages):
    mms = run(made("page_origins", children=children, pages=pages))
    counts = mapcounts(mms)
    shared = {"shared by all": children + 1, "left to two": 2}
    base = min(mms[1])
    for origin, (pid, part) in PAGE_ORIGINS.items():
        for owner in range(pid, children + 2 if pid > 1 else pid + 1):
            frames = [mms[owner][base + part * pages + page][0] for page in range(pages)]
            assert [counts[frame] for frame in frames] == [shared.get(origin, 1)] * pages
    last = run(made("page_origins", children=children, pages=pages, keeper=children))
    assert [pid for pid in last if last[pid][base] == last[1][base]] == [1, children + 1]
    assert vmas(mms[1]) == 1 and all(vmas(mms[pid]) == 2 for pid in mms if pid > 1)
    assert sum(counts.values()) == pages * (3 + 5 * children)


def test_every_workload_is_tested_small():
    assert sorted(SMALL) == sorted(WORKLOADS)


@every_workload
def test_events_are_legal_and_end_with_the_only_reclaim(name):
    header, events = generate(name, **SMALL[name])
    events = list(events)
    assert run(events, END[header.arch])
    assert [isinstance(event, Reclaim) for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1] == Reclaim()


@every_workload
def test_equal_parameters_give_equal_events(name):
    first, second = generate(name, **SMALL[name]), generate(name, **SMALL[name])
    assert first[0] == second[0] and list(first[1]) == list(second[1])


@every_workload
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_round_trip(tmp_path, name, suffix):
    path = tmp_path / f"t.jsonl{suffix}"
    header, events = generate(name, **SMALL[name])
    events = list(events)
    assert write(path, header, events) == len(events)
    trace = read(path)
    assert trace.header == header
    assert list(trace) == list(enumerate(events, 2))


@every_workload
def test_every_line_matches_the_schema(name):
    schema = json.loads(files("rmapmodel").joinpath("schemas/trace.schema.json").read_text())
    header, events = generate(name, **SMALL[name])
    validator = jsonschema.Draft202012Validator(schema)
    of_op = {op: validator.evolve(schema={"$ref": f"#/$defs/{op}", "$defs": schema["$defs"]}) for op in schema["$defs"]}
    validator.validate(json.loads(msgspec.json.encode(header)))
    for event in events:
        record = json.loads(msgspec.json.encode(event))
        of_op[record["op"]].validate(record)


@every_workload
def test_what_a_workload_says_of_itself(name):
    workload = WORKLOADS[name]
    header, _ = generate(name, **SMALL[name])
    claims = {"test": ("2.6.4", "i386"), "rmap": ("2.5.66", "i386"), "thousand": ("2.6.33", "x86_64")}
    assert (workload.kernel, header.arch) == claims.get(name.split("_")[0], (None, "x86_64"))
    assert header == Header(version=1, kernel=workload.kernel, arch=header.arch, source=header.source)
    assert header.source.startswith(workload.source)
    assert f"rmapmodel generate {name} " in header.source
    for key, value in SMALL[name].items():
        assert f"-p {key}={value}" in header.source
    assert workload.name == name and workload.function.__name__ == name
    assert workload.about.endswith(".") and workload.about in workload.function.__doc__
    for kind, default, meaning in workload.parameters.values():
        assert type(default) is kind and kind in (int, float, bool) and meaning
    assert workload.check({}) == {key: default for key, (_, default, _) in workload.parameters.items()}


def test_the_command_in_the_source_makes_the_same_trace():
    header, events = generate("fork_chain", depth=3, exits=False)
    name, *words = header.source.partition("rmapmodel generate ")[2].split()
    again, same = generate(name, **parse_params(words[1::2]))
    assert again == header and list(same) == list(events)


@pytest.mark.parametrize("name, params, message", [
    ("test_mmap4", {}, "test_mmap4: no such workload; did you mean test_mmap"),
    ("xyz", {}, "xyz: no such workload (there are test_mmap, "),
    ("test_mmap2", {"fork": 1}, "test_mmap2: fork: no such parameter; did you mean forks"),
    ("test_mmap", {"xyz": 1}, "test_mmap: xyz: no such parameter (it has cache_pages"),
    ("test_mmap", {"cache_pages": 1}, "test_mmap: cache_pages: an integer from 2 to 500000 is wanted, not 1"),
    ("test_mmap", {"cache_pages": 500_001}, "test_mmap: cache_pages: an integer from 2 to 500000 is wanted, not 5000"),
    ("test_mmap", {"cache_pages": 2.0}, "test_mmap: cache_pages: an integer from 2 to 500000 is wanted, not 2.0"),
    ("test_mmap", {"cache_pages": True}, "test_mmap: cache_pages: an integer from 2 to 500000 is wanted, not True"),
    ("test_mmap", {"cache_pages": "x"}, "test_mmap: cache_pages: an integer from 2 to 500000 is wanted, not 'x'"),
    ("mremap_inherited", {"moved": 1.1}, "mremap_inherited: moved: a number from 0 to 1 is wanted, not 1.1"),
    ("mremap_inherited", {"shared": float("nan")}, "mremap_inherited: shared: a number from 0 to 1 is wanted, not nan"),
    ("mremap_inherited", {"shared": True}, "mremap_inherited: shared: a number from 0 to 1 is wanted, not True"),
    ("mremap_inherited", {"processes": 0}, "mremap_inherited: processes: an integer from 1 to 4194304 is wanted, not"),
    ("page_origins", {"children": 2, "keeper": 3}, "page_origins: keeper: there are 2 children"),
    ("mremap_inherited", {"processes": 4194304, "pages": 2**31}, "mremap_inherited: processes: the areas need "),
    ("fork_chain", {"exits": 2}, "fork_chain: exits: true or false is wanted, not 2"),
    ("fork_chain", {"exits": "maybe"}, "fork_chain: exits: true or false is wanted, not 'maybe'"),
    ("swap_pressure", {"pages": 4, "written": 0, "back": 5}, "swap_pressure: back: a process has 4 pages, not 5"),
    ("fork_server", {"pages": 4, "written": 5}, "fork_server: written: a child can write no more than the 4 pages of"),
    ("fork_server", {"vmas": 500_000, "pages": 500_000}, "fork_server: vmas: the areas need "),
    ("rmap_test_1", {"vmas": 1000}, "rmap_test_1: vmas: the areas need 600001 pages, an i386 process has room for 524"),
])
def test_wrong_parameters_are_refused_before_the_first_event(name, params, message):
    with pytest.raises(InputError) as caught:
        generate(name, **params)
    assert str(caught.value).startswith(message)


def test_the_largest_window_ends_below_the_kernel():
    _, events = generate("test_mmap", cache_pages=500_000)
    assert next(events) == Spawn(1)
    window = next(events)
    assert window.addr + window.len <= END["i386"]


def test_zero_and_one_are_also_truth_values():
    assert made("fork_chain", depth=2, exits=0) == made("fork_chain", depth=2, exits=False)


def test_parse_params():
    assert parse_params([]) == {}
    assert parse_params(["a=1", "b=0.5", "c=TRUE", "d=no", "e=x=y", "f=", "g=-1"]) == {
        "a": 1, "b": 0.5, "c": True, "d": False, "e": "x=y", "f": "", "g": -1}


@pytest.mark.parametrize("pairs, message", [
    (["pages"], "-p: key=value is wanted, not 'pages'"), (["=1"], "-p: key=value is wanted, not '=1'"),
    (["a=1", "a=1"], "a: given twice"),
])
def test_parse_params_refuses(pairs, message):
    with pytest.raises(InputError) as caught:
        parse_params(pairs)
    assert str(caught.value) == message
