/*
 * The workloads of kernel.py on the Linux that runs here; prints the processor time that each took, in nanoseconds, its
 * children's included. All but the stores below is the kernel's: user mode has no more to do than to ask.
 *
 *   storm fork CHILDREN VMAS PAGES WRITTEN SINGLE   maps, writes, forks, writes, exits; SINGLE: pages far apart, not a run
 *   storm moves VMAS PAGES                         moves each of so many areas once
 *   storm splits PIECES                            makes every other page of an area read-only
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define BASE 0x100000000000L

static void must(int done)
{
	if (!done) {
		perror("storm");
		exit(1);
	}
}

static long long used(void)
{
	struct timespec self;
	struct rusage children;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return self.tv_sec * 1000000000LL + self.tv_nsec
		+ (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000000LL
		+ (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1000LL;
}

static void write_pages(long page, long pages, long step)
{
	for (long i = 0; i < pages; i++)
		*(volatile char *)(BASE + (page + i * step) * PAGE) = 1;
}

static void map(long page, long pages)
{
	must(mmap((void *)(BASE + page * PAGE), pages * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
}

static void fork_storm(long children, long vmas, long pages, long written, int single)
{
	int ready[2], leave[2];
	char byte;

	must(!pipe(ready) && !pipe(leave));
	for (long i = 0; i < vmas; i++) {
		map(i * (pages + 1), pages);
		write_pages(i * (pages + 1), pages, 1);
	}
	for (long child = 0; child < children; child++) {
		pid_t pid = fork();

		must(pid >= 0);
		if (pid)
			continue;
		close(leave[1]);
		if (single)
			for (long i = 0; i < written; i++)
				write_pages(i % vmas * (pages + 1) + i / vmas * 2, 1, 1);
		else
			write_pages(child % vmas * (pages + 1), written, 1);
		must(write(ready[1], "", 1) == 1);
		_exit(read(leave[0], &byte, 1));	/* when the parent closes its end, after the last has written */
	}
	for (long child = 0; child < children; child++)
		must(read(ready[0], &byte, 1) == 1);
	close(leave[1]);
	while (wait(NULL) > 0)
		;
	munmap((void *)BASE, vmas * (pages + 1) * PAGE);
}

static void move_all(long vmas, long pages)
{
	for (long i = 0; i < vmas; i++) {
		char *old = (char *)(BASE + i * (pages + 1) * PAGE), *new = old + vmas * (pages + 1) * PAGE;

		must(mremap(old, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, new) == new);
	}
}

static void split(long pieces)
{
	for (long i = 1; i < pieces; i += 2)
		must(!mprotect((void *)(BASE + i * PAGE), PAGE, PROT_READ));
}

int main(int argc, char **argv)
{
	long n[6] = { 0 };
	long long before;

	for (int i = 2; i < argc && i < 8; i++)
		n[i - 2] = atol(argv[i]);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (argc > 1 && !strcmp(argv[1], "moves"))
		for (long i = 0; i < n[0]; i++) {
			map(i * (n[1] + 1), n[1]);
			write_pages(i * (n[1] + 1), n[1], 1);
		}
	else if (argc > 1 && !strcmp(argv[1], "splits")) {
		map(0, n[0]);
		write_pages(0, n[0], 1);
	}
	before = used();
	if (argc > 1 && !strcmp(argv[1], "fork"))
		fork_storm(n[0], n[1], n[2], n[3], n[4]);
	else if (argc > 1 && !strcmp(argv[1], "moves"))
		move_all(n[0], n[1]);
	else if (argc > 1 && !strcmp(argv[1], "splits"))
		split(n[0]);
	else
		return 2;
	printf("%lld\n", used() - before);
	return 0;
}
