/*
 * One process of an executed trace. It does nothing of its own: it obeys commands that come over the socket on
 * descriptor 3, and owns no memory but its image, linked far from where the trace lives (observe.py). No libc, no heap,
 * no writable variable: processes that share an mm run this at the same time, each on its own slot of `stacks`.
 */
typedef unsigned long u64;
typedef long i64;

#define PAGE 4096UL
#define PMD (512 * PAGE)
#define STACK 32768UL
#define SLOTS 512
#define CHANNEL 3
#define TASK_SIZE 0x7ffffffff000UL

enum { NR_pread64 = 17, NR_open = 2, NR_close = 3, NR_munmap = 11, NR_sigaction = 13, NR_madvise = 28, NR_dup2 = 33,
       NR_getpid = 39, NR_sendto = 44, NR_recvmsg = 47, NR_clone = 56, NR_execve = 59, NR_kill = 62, NR_prctl = 157,
       NR_exit_group = 231 };
enum { SIGBUS = 7, SIGKILL = 9, SIGSEGV = 11, SIGCHLD = 17 };
enum { MADV_DONTNEED = 4, MADV_DONTNEED_LOCKED = 24, PR_SET_CHILD_SUBREAPER = 36, PR_SET_THP_DISABLE = 41 };
enum { OP_SYSCALL, OP_READ, OP_WRITE, OP_CLONE, OP_EXEC, OP_EXIT, OP_CLEAR, OP_BRK };

struct command {
	u64 op, nr, arg[6];
	u64 from, to;		/* pages that may become present; others that do are fault-around's, and dropped */
};
struct reply { i64 ret; u64 low, high; };

#pragma GCC visibility push(hidden)
static char stacks[SLOTS][STACK] __attribute__((aligned(4096)));
extern char __executable_start[], _end[];
extern i64 touch_read(u64 addr), touch_write(u64 addr), spawn(u64 flags, char *stack, u64 fd);
extern void touch_end(void), restorer(void);
#pragma GCC visibility pop

__asm__(
".globl _start\n_start:\n"
"	movq (%rsp), %rdi\n"
"	leaq stacks+32768(%rip), %rsp\n"
"	call start\n"
".globl touch_read\ntouch_read:\n	movb (%rdi), %al\n	xorl %eax, %eax\n	ret\n"
".globl touch_write\ntouch_write:\n	movb $1, (%rdi)\n	xorl %eax, %eax\n	ret\n"
".globl touch_end\ntouch_end:\n	ret\n"
".globl restorer\nrestorer:\n	movl $15, %eax\n	syscall\n"
".globl spawn\nspawn:\n"			/* the child begins on its own stack */
"	movq %rdx, %r8\n	xorl %edx, %edx\n	xorl %r10d, %r10d\n	movl $56, %eax\n	syscall\n"
"	testq %rax, %rax\n	jz 1f\n	ret\n"
"1:	movq %r8, %rdi\n	call born\n"
);

static i64 call(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	i64 ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static void answer(i64 ret)
{
	struct reply reply = { ret, (u64)__executable_start & -PAGE, ((u64)_end + PAGE - 1) & -PAGE };

	call(NR_sendto, CHANNEL, (u64)&reply, sizeof(reply), 0x4000 /* MSG_NOSIGNAL */, 0, 0);
}

/* A touch that faults returns -1000 - signal instead; anywhere else a fault ends the process. */
static void faulted(int sig, void *info, char *context)
{
	u64 *regs = (u64 *)(context + 40);	/* r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip */

	(void)info;
	if (regs[16] < (u64)touch_read || regs[16] >= (u64)touch_end)
		call(NR_exit_group, 99, 0, 0, 0, 0, 0);
	regs[13] = -1000 - sig;
	regs[16] = (u64)touch_end;
}

struct present { u64 base[2], bits[2][8]; };

static void look(u64 base, u64 *bits)
{
	u64 entries[512];
	i64 fd = call(NR_open, (u64)"/proc/self/pagemap", 0, 0, 0, 0, 0), got = -1;

	for (int i = 0; i < 8; i++)
		bits[i] = 0;
	if (fd >= 0)
		got = call(NR_pread64, fd, (u64)entries, sizeof(entries), base / PAGE * 8, 0, 0);
	for (i64 i = 0; i < got / 8; i++)
		bits[i / 64] |= (entries[i] >> 63) << (i % 64);
	if (fd >= 0)
		call(NR_close, fd, 0, 0, 0, 0, 0);
}

static void guard(struct present *p, u64 from, u64 to)
{
	p->base[0] = from & -PMD;
	p->base[1] = (to - 1) & -PMD;
	look(p->base[0], p->bits[0]);
	if (p->base[1] != p->base[0])
		look(p->base[1], p->bits[1]);
}

static void drop_around(struct present *p, u64 from, u64 to)
{
	for (int k = 0; k < 2 && (!k || p->base[1] != p->base[0]); k++) {
		u64 now[8];

		look(p->base[k], now);
		for (u64 i = 0; i < 512; i++) {
			u64 addr = p->base[k] + i * PAGE;

			if (!((now[i / 64] & ~p->bits[k][i / 64]) >> (i % 64) & 1) || (addr >= from && addr < to))
				continue;
			if (call(NR_madvise, addr, PAGE, MADV_DONTNEED, 0, 0, 0))
				call(NR_madvise, addr, PAGE, MADV_DONTNEED_LOCKED, 0, 0, 0);
		}
	}
}

static i64 touch(struct command *c)
{
	for (u64 addr = c->arg[0]; addr < c->arg[1]; addr += PAGE) {
		i64 ret = c->op == OP_READ ? touch_read(addr) : touch_write(addr);

		if (ret)
			return ret;
	}
	return 0;
}

static void clear(void)
{
	u64 low = (u64)__executable_start & -PAGE, high = ((u64)_end + PAGE - 1) & -PAGE;

	call(NR_munmap, 0, low, 0, 0, 0, 0);
	call(NR_munmap, high, TASK_SIZE - high, 0, 0, 0, 0);
}

static i64 receive(struct command *c, i64 *fd)
{
	struct { u64 base, len; } vec = { (u64)c, sizeof(*c) };
	struct { u64 len; int level, type; int fd; int pad; } control;
	struct { u64 name; int namelen, pad; void *vec; u64 vecs; void *control; u64 controllen; u64 flags; } msg = {
		0, 0, 0, &vec, 1, &control, sizeof(control), 0 };
	i64 got = call(NR_recvmsg, CHANNEL, (u64)&msg, 0, 0, 0, 0);

	*fd = got > 0 && msg.controllen >= 20 ? control.fd : -1;
	return got;
}

static void __attribute__((noreturn)) serve(int first)
{
	for (;;) {
		struct command c;
		struct present before;
		i64 fd, ret = -38;
		i64 got = receive(&c, &fd);

		if (got == -4 /* EINTR */)
			continue;
		if (got != sizeof(c)) {
			if (first)
				call(NR_kill, 0, SIGKILL, 0, 0, 0, 0);
			call(NR_exit_group, 0, 0, 0, 0, 0, 0);
		}
		if (c.from < c.to)
			guard(&before, c.from, c.to);
		if (c.op == OP_SYSCALL) {
			if (fd >= 0)
				c.arg[4] = fd;	/* only mmap is sent one */
			ret = call(c.nr, c.arg[0], c.arg[1], c.arg[2], c.arg[3], c.arg[4], c.arg[5]);
		} else if (c.op == OP_READ || c.op == OP_WRITE) {
			ret = touch(&c);
		} else if (c.op == OP_CLONE) {
			ret = spawn(c.arg[0], stacks[c.arg[1] + 1], fd);
		} else if (c.op == OP_EXEC) {
			u64 argv[] = { (u64)"rmapmodel-worker", (u64)"exec", 0 }, envp[] = { 0 };

			ret = call(NR_execve, (u64)"/proc/self/exe", (u64)argv, (u64)envp, 0, 0, 0);
		} else if (c.op == OP_EXIT) {
			call(NR_exit_group, 0, 0, 0, 0, 0, 0);
		} else if (c.op == OP_CLEAR) {
			clear();
			ret = 0;
		} else if (c.op == OP_BRK) {	/* where the break starts; prctl_mm_map of linux/prctl.h */
			u64 low = (u64)__executable_start;
			u64 map[13] = { low, low + PAGE, PAGE * 16, PAGE * 16, c.arg[0], c.arg[0], low, low, low, low, low,
					0, 0xffffffff00000000UL };

			ret = call(NR_prctl, 35 /* PR_SET_MM */, 14 /* PR_SET_MM_MAP */, (u64)map, sizeof(map), 0, 0);
		}
		if (fd >= 0)
			call(NR_close, fd, 0, 0, 0, 0, 0);
		if (c.from < c.to)
			drop_around(&before, c.from, c.to);
		answer(ret);
	}
}

__attribute__((used, noreturn)) void born(u64 fd)
{
	call(NR_dup2, fd, CHANNEL, 0, 0, 0, 0);
	call(NR_close, fd, 0, 0, 0, 0, 0);
	answer(call(NR_getpid, 0, 0, 0, 0, 0, 0));
	serve(0);
}

__attribute__((used, noreturn)) void start(u64 argc)
{
	struct { u64 handler, flags, restorer, mask; } fault = { (u64)faulted, 0x44000004 /* RESTORER, NODEFER, SIGINFO */,
		(u64)restorer, 0 }, ignore = { 1, 0, 0, 0 };

	clear();	/* stack, vdso */
	call(NR_sigaction, SIGSEGV, (u64)&fault, 0, 8, 0, 0);
	call(NR_sigaction, SIGBUS, (u64)&fault, 0, 8, 0, 0);
	call(NR_sigaction, SIGCHLD, (u64)&ignore, 0, 8, 0, 0);
	call(NR_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0, 0);
	if (argc == 1)
		call(NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0);
	answer(call(NR_getpid, 0, 0, 0, 0, 0, 0));
	serve(argc == 1);
}
