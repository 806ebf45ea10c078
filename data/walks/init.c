/*
 * The first process of the guest that record.py boots: it executes /cases, a list of commands, with real processes (a
 * real fork for each fork), moves pages to the other NUMA node, and says which vmas the two walks of each move visited.
 * Every process of a case waits for orders in a slot of a shared page; nothing of theirs lies where the cases map.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

typedef unsigned long u64;

#define PAGE 4096UL
#define SLOTS 512
#define FILES 4
#define FILE_FD 100	/* record.py names the files by these descriptors */
#define VISITS 65536
#define VMEMMAP 0xffffea0000000000UL	/* of a kernel booted with nokaslr and four levels of page tables */
#define STRUCT_PAGE 64

struct slot { int turn; int pid; char op; long nr, result; u64 arg[6]; };
struct visit { char which; u64 folio, mm, start; };

static struct slot *slots;
static int highest, events_fd, kpageflags;
static u64 mm_of[SLOTS];
static struct visit visits[VISITS];
static int count;
static sigjmp_buf fault;
static FILE *out;

static void die(const char *what)
{
	fprintf(out, "! %s: %s\n", what, strerror(errno));
	fflush(out);
	tcdrain(fileno(out));
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* Trade places through a slot's word: a process sleeps until it is its turn. */
static void until(int *word, int value)
{
	int now;

	while ((now = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != value)
		syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
}

static void give(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The processes of a case */

static void faulted(int sig)
{
	siglongjmp(fault, sig);
}

static long touch(char op, u64 from, u64 to)
{
	volatile u64 addr = from, end = to;
	int sig = sigsetjmp(fault, 1);

	if (sig)
		return -1000 - sig;
	for (; addr < end; addr += PAGE) {
		if (op == 'w')
			__atomic_fetch_or((char *)addr, 0, __ATOMIC_SEQ_CST);	/* a write, not a read and a write */
		else
			(void)*(volatile char *)addr;
	}
	return 0;
}

static long start_break(u64 addr)
{
	u64 low = 0x400000, map[13] = { low, low + PAGE, 16 * PAGE, 16 * PAGE, addr, addr, low, low, low, low, low, 0,
					0xffffffff00000000UL };	/* struct prctl_mm_map */

	return prctl(PR_SET_MM, PR_SET_MM_MAP, map, sizeof(map), 0) ? -errno : 0;
}

static void serve(int number)
{
	for (;;) {
		struct slot *slot = &slots[number];
		long ret;

		until(&slot->turn, 1);
		if (slot->op == 'x')
			_exit(0);
		if (slot->op == 'f') {
			ret = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
			if (!ret) {
				number = slot->arg[0];
				syscall(SYS_madvise, number, 0, -1);	/* tells the probe on do_madvise our mm */
				give(&slots[number].turn, 0);
				continue;
			}
			if (ret < 0)
				ret = -errno;
		} else if (slot->op == 'c') {
			ret = syscall(slot->nr, slot->arg[0], slot->arg[1], slot->arg[2], slot->arg[3], slot->arg[4],
				      slot->arg[5]);
			if (ret == -1)
				ret = -errno;
		} else if (slot->op == 'b') {
			ret = start_break(slot->arg[0]);
		} else {
			ret = touch(slot->op, slot->arg[0], slot->arg[1]);
		}
		slot->result = ret;
		give(&slot->turn, 0);
	}
}

static long order(int number, char op)
{
	struct slot *slot = &slots[number];

	slot->op = op;
	give(&slot->turn, 1);
	until(&slot->turn, 0);
	return slot->result;
}

static void begun(int number, long pid)
{
	if (pid < 0)
		die("fork");
	slots[number].pid = pid;
	if (number > highest)
		highest = number;
	until(&slots[number].turn, 0);
}

static void finish(int number)
{
	struct slot *slot = &slots[number];

	slot->op = 'x';
	give(&slot->turn, 1);
	while (!kill(slot->pid, 0))	/* reaped, since SIGCHLD is ignored, after its mm is gone */
		usleep(100);
	slot->pid = 0;
	slot->turn = 0;
}

static void fresh_case(void)
{
	for (int i = 0; i <= highest; i++)
		if (slots[i].pid)
			finish(i);
	highest = 0;
	for (int i = 0; i < FILES; i++) {
		int fd = memfd_create("walks", 0);

		if (fd < 0 || ftruncate(fd, 1L << 62) || dup2(fd, FILE_FD + i) < 0)
			die("memfd");
		close(fd);
	}
}

/* Walks */

static void drain(void)
{
	static char text[1 << 20];
	size_t have = 0;

	for (;;) {
		ssize_t got = read(events_fd, text + have, sizeof(text) - 1 - have);
		char *line, *end;

		if (got <= 0)
			break;
		have += got;
		text[have] = 0;
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			u64 number;
			struct visit v;
			char *at;

			*end = 0;
			if (strstr(line, "LOST"))
				die("events were lost");
			if ((at = strstr(line, "slot="))) {
				if (sscanf(at, "slot=%lx mm=%lx", &number, &v.mm) == 2 && number < SLOTS)
					mm_of[number] = v.mm;
			} else if ((at = strstr(line, "which="))) {
				if (sscanf(at, "which=%lx folio=%lx mm=%lx start=%lx", &number, &v.folio, &v.mm, &v.start) != 4)
					die("an event that cannot be read");
				v.which = number;
				if (count == VISITS)
					die("too many visits");
				visits[count++] = v;
			}
		}
		have = strlen(line);
		memmove(text, line, have);
	}
}

static u64 entry(int number, u64 addr)
{
	char path[64];
	u64 value = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", slots[number].pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &value, 8, addr / PAGE * 8) != 8)
		die("pagemap");
	close(fd);
	return value;
}

#define PRESENT(entry) ((entry) >> 63)
#define PFN(entry) ((entry) & ((1UL << 55) - 1))
#define FOLIO(entry) (VMEMMAP + PFN(entry) * STRUCT_PAGE)

static int slot_of(u64 mm)
{
	for (int i = 0; i <= highest; i++)
		if (slots[i].pid && mm_of[i] == mm)
			return i;
	return -1;
}

static void print_visits(int which, u64 folio)
{
	for (int i = 0; i < count; i++)
		if (visits[i].which == which && visits[i].folio == folio)
			fprintf(out, " %d:%lx", slot_of(visits[i].mm), visits[i].start);
}

/* p SLOT ADDR ERROR STRAY | visits of the walk that stops early | visits of the one that does not */
static int probe(int number, u64 addr)
{
	void *page = (void *)addr;
	int here = -1, there, status = -1, stray = 0;
	u64 before, after;
	long ret;

	drain();
	before = entry(number, addr);
	ret = syscall(SYS_move_pages, slots[number].pid, 1UL, &page, NULL, &here, 0);
	there = !here;
	count = 0;
	if (!ret && here >= 0)
		ret = syscall(SYS_move_pages, slots[number].pid, 1UL, &page, &there, &status, 4 /* MPOL_MF_MOVE_ALL */);
	else
		status = here;
	drain();
	after = entry(number, addr);
	for (int i = 0; i < count; i++)
		stray += visits[i].folio != (visits[i].which ? FOLIO(after) : FOLIO(before));
	fprintf(out, "p %d %lx %d %d |", number, addr, ret ? -errno : status == there ? 0 : status < 0 ? status : 1, stray);
	print_visits(0, FOLIO(before));
	fprintf(out, " |");
	print_visits(1, FOLIO(after));
	fprintf(out, "\n");
	return !ret && status == there;
}

/* Every frame that a process maps in a range, each once; the zero page is none. */
static void probe_all(u64 from, u64 to)
{
	static u64 moved[65536];
	int done = 0;

	for (int number = 0; number <= highest; number++) {
		for (u64 addr = from; slots[number].pid && addr < to; addr += PAGE) {
			u64 found = entry(number, addr), flags = 0;
			int seen = 0;

			if (!PRESENT(found))
				continue;
			if (pread(kpageflags, &flags, 8, PFN(found) * 8) != 8)
				die("kpageflags");
			for (int i = 0; i < done; i++)
				seen |= moved[i] == PFN(found);
			if (seen || flags >> 24 & 1)	/* KPF_ZERO_PAGE */
				continue;
			if (probe(number, addr))
				moved[done++] = PFN(entry(number, addr));
		}
	}
}

static void prepare(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL))
		die("mount");
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	out = fopen("/dev/ttyS1", "w");
	if (!out || mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) ||
	    mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL))
		die("mount");
	put("/sys/kernel/debug/fault_around_bytes", "4096");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "never");
	put("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "never");
	put("/proc/sys/kernel/numa_balancing", "0");
	put("/sys/kernel/tracing/buffer_size_kb", "16384");
	/* the second argument is a vma, which begins with vm_start, vm_end, vm_mm (include/linux/mm_types.h@6.1) */
	put("/sys/kernel/tracing/kprobe_events",
	    "p:early try_to_migrate_one which=\\0:x8 folio=%di:x64 mm=+16(%si):x64 start=+0(%si):x64\n"
	    "p:full remove_migration_pte which=\\1:x8 folio=%di:x64 mm=+16(%si):x64 start=+0(%si):x64\n"
	    "p:born do_madvise slot=%si:x64 mm=%di:x64\n");
	put("/sys/kernel/tracing/events/kprobes/enable", "1");
	events_fd = open("/sys/kernel/tracing/trace_pipe", O_RDONLY | O_NONBLOCK);
	kpageflags = open("/proc/kpageflags", O_RDONLY);
	slots = mmap((void *)0x7000000000, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (events_fd < 0 || kpageflags < 0 || slots == MAP_FAILED)
		die("start");
	setrlimit(RLIMIT_STACK, &unlimited);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGSEGV, faulted);
	signal(SIGBUS, faulted);
}

static void execute(char *line, int lineno)
{
	u64 arg[9] = { 0 };
	long ret, pid, wanted = 0;
	int n = sscanf(line + 1, "%lx %lx %lx %lx %lx %lx %lx %lx %lx", &arg[0], &arg[1], &arg[2], &arg[3], &arg[4],
		       &arg[5], &arg[6], &arg[7], &arg[8]);
	struct slot *slot = &slots[arg[0] % SLOTS];

	switch (line[0]) {
	case 'n':
		fresh_case();
		fprintf(out, "n %lu\n", arg[0]);
		fflush(out);
		return;
	case 's':
		slot->turn = 2;
		pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			syscall(SYS_madvise, arg[0], 0, -1);
			give(&slot->turn, 0);
			serve(arg[0]);
		}
		begun(arg[0], pid);
		return;
	case 'f':
		slots[arg[1]].turn = 2;
		slot->arg[0] = arg[1];
		begun(arg[1], order(arg[0], 'f'));
		return;
	case 'x':
		finish(arg[0]);
		return;
	case 'p':
		probe(arg[0], arg[1]);
		return;
	case 'a':
		probe_all(arg[0], arg[1]);
		return;
	case 'c':	/* slot nr answer arguments */
		slot->nr = arg[1];
		memcpy(slot->arg, arg + 3, sizeof(slot->arg));
		wanted = arg[2];
		break;
	case 'b': case 'r': case 'w':
		memcpy(slot->arg, arg + 1, sizeof(slot->arg));
		break;
	default:
		die(line);
	}
	ret = order(arg[0], line[0]);
	if (n < 1 || ret != wanted)
		fprintf(out, "e %d %ld\n", lineno, ret);
}

int main(void)
{
	static char line[512];
	struct utsname name;
	FILE *cases;
	int lineno = 0;

	prepare();
	uname(&name);
	fprintf(out, "k %s %s\n", name.release, name.version);
	cases = fopen("/cases", "r");
	if (!cases)
		die("/cases");
	while (fgets(line, sizeof(line), cases))
		execute(line, ++lineno);
	fprintf(out, "done\n");
	fflush(out);
	tcdrain(fileno(out));
	reboot(RB_AUTOBOOT);
	return 0;
}
