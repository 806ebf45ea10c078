#!/bin/sh
# Records the programs of data/traces, each twice, with `rmapmodel record`. As root on Debian 12:
#   apt-get install strace linux-perf procps bash make gcc git perl python3 apache2 apache2-utils libapache2-mod-php curl postgresql \
#       postgresql-contrib redis-server nginx-light openjdk-17-jdk-headless nodejs chromium
#   sh data/record.sh [NAME...]    all programs of `names` unless some are named
# PYTHON names the interpreter that has rmapmodel. Programs run in /srv/demo, with an environment of their own, so that
# no name of a person or a machine gets into a trace. The first trace of a program goes to TRACES (data/traces) if it has
# at most 600 KB, else it stays in /srv/demo, as the second does. What `record` said of each goes to TABLE
# (data/tables/recordings.csv). Ends with 1 if a process disagreed with its own maps.
set -eu
data=$(cd "$(dirname "$0")" && pwd)
traces=${TRACES:-$data/traces}
table=${TABLE:-$data/tables/recordings.csv}
python=${PYTHON:-python3}
demo=/srv/demo
port=8088
largest=600000
names='shell-pipeline python-subprocess-threads make-compile apache2-prefork postgresql-pgbench redis-bgsave nginx git-gc
    python-pool perl-workers java-g1 java-zgc node-workers chromium-headless shell-commands realloc-loop'
columns='program,versions,run,exit_group,agreeing,unread,killed,events,bytes,date'

# record NAME COMMAND...: one run of a program, and its line in the table.
record() {
    name=$1
    shift
    case $name in shell-pipeline | python-subprocess-threads | make-compile | apache2-prefork) suffix=gz ;; *) suffix=zst ;; esac
    trace=$demo/$name-$run.jsonl.$suffix
    scrub=
    case $name in java-* | chromium-*) scrub=--scrub ;; esac  # they map files that are named after the user
    rm -f "$trace"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=$demo \
        "$python" -m rmapmodel record -o "$trace" $scrub --max-memory 24G -- "$@" \
        2> "$demo/$name-$run.log" || echo "$name run $run" >> "$demo/failed"
    [ -f "$trace" ] || return 0
    row "$name" "$demo/$name-$run.log" "$trace"
    if [ "$run" = 1 ] && [ "$(stat -c %s "$trace")" -le $largest ]; then
        cp "$trace" "$traces/$name.jsonl.$suffix"
    fi
}

# up COMMAND...: waits until it succeeds, for a minute at most and while the recorded server lives.
up() {
    for _ in $(seq 300); do
        ! "$@" > /dev/null 2>&1 || return 0
        kill -0 $! 2> /dev/null || break
        sleep 0.2
    done
    echo "the recorded server did not answer: $*" >&2
    return 1
}

# row NAME LOG TRACE: one line of the table, in place of the one that this program and run had.
row() {
    said() { sed -n "s/$1/\\1/p" "$log" | tail -n 1; }
    log=$2
    versions=$(dpkg-query -W -f '${Package} ${Version}; ' $packages | sed 's/; $//')
    of='processes that called exit_group agree with their own maps'
    reached=$(said "^[0-9]* of \\([0-9]*\\) $of")
    agreeing=$(said "^\\([0-9]*\\) of [0-9]* $of")
    unread=$(said '^not compared: \([0-9]*\),.*')
    killed=$(said '^killed: \([0-9]*\)$')
    events=$(said '^.*: \([0-9]*\) events; the program .*')
    [ -f "$table" ] || echo "$columns" > "$table"
    {
        echo "$columns"
        {
            awk -F, -v name="$1" -v run="$run" 'NR > 1 && !($1 == name && $3 == run)' "$table"
            echo "$1,$versions,$run,$reached,$agreeing,${unread:-0},${killed:-0},$events,$(stat -c %s "$3"),$(date -u +%F)"
        } | LC_ALL=C sort -t, -k1,1 -k3,3n
    } > "$table.new"
    mv "$table.new" "$table"
}

shell_pipeline() {
    cat > pipeline.sh <<'EOF'
find /usr/share/doc -maxdepth 2 -name 'c*' -printf '%f\n' | sort | uniq -c | awk '{ n[$1]++ } END { for (k in n) print k, n[k] }' | sort -rn | head -n 3
for word in copyright changelog control; do
    find /usr/share/doc -maxdepth 2 -name "$word*" | xargs -n 200 wc -c | awk '/total/ { s += $1 } END { print s }'
done
count=$(find /usr/share/doc -maxdepth 1 | wc -l)
echo "$count" | tr 0-9 a-j
EOF
    record shell-pipeline /usr/bin/bash pipeline.sh > /dev/null
}

python_subprocess_threads() {
    cat > jobs.py <<'EOF'
import multiprocessing
import subprocess
import threading
from multiprocessing import shared_memory

table = {f"key{n}": list(range(n % 50)) for n in range(20_000)}


def total(n):
    return sum(len(table[f"key{k}"]) for k in range(n, 20_000, 4))


def fill(name, n):
    block = shared_memory.SharedMemory(name)
    block.buf[n * 65536:(n + 1) * 65536] = bytes([n]) * 65536
    block.close()


def run(n):
    words = [str(k) * 10 for k in range(5_000)]
    subprocess.run(["/usr/bin/wc", "-c"], input=" ".join(words).encode(), stdout=subprocess.DEVNULL, check=True)


threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
context = multiprocessing.get_context("fork")
with context.Pool(4) as pool:
    print(sum(pool.map(total, range(4))))
block = shared_memory.SharedMemory(create=True, size=4 * 65536)
workers = [context.Process(target=fill, args=(block.name, n)) for n in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
block.close()
block.unlink()
EOF
    record python-subprocess-threads /usr/bin/python3 jobs.py > /dev/null
}

make_compile() {
    for part in main parse table print; do
        printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint %s_step(int n)\n{\n' "$part"
        printf '\tchar *s = malloc(n + 1);\n\tif (!s)\n\t\treturn -1;\n\tmemset(s, 0, n + 1);\n'
        printf '\tfor (int i = 0; i < n; i++)\n\t\ts[i] = i %% 26 + 97;\n\tputs(s);\n\tfree(s);\n\treturn n;\n}\n'
    done | awk '/stdio/ { n++ } { print > ("part" n ".c") }'
    printf 'int main_step(int), parse_step(int);\nint main(void)\n{\n\treturn main_step(3) - parse_step(3);\n}\n' > demo.c
    printf 'CFLAGS = -O1 -g\ndemo: demo.o part1.o part2.o part3.o part4.o\n\t$(CC) -o $@ $^\n' > Makefile
    rm -f ./*.o demo
    record make-compile /usr/bin/make -j2 > /dev/null
}

apache2_prefork() {
    mkdir -p htdocs run
    cat > htdocs/index.php <<'EOF'
<?php
$words = [];
for ($n = 0; $n < 2000; $n++) {
    $words[] = md5((string) $n);
}
sort($words);
echo implode("\n", array_slice($words, 0, 20)), "\n";
EOF
    cat > apache2.conf <<EOF
ServerRoot /usr/lib/apache2
Listen 127.0.0.1:$port
ServerName localhost
PidFile $demo/run/apache2.pid
DefaultRuntimeDir $demo/run
Mutex file:$demo/run default
ErrorLog /dev/null
User www-data
Group www-data
LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule dir_module modules/mod_dir.so
LoadModule mime_module modules/mod_mime.so
LoadModule status_module modules/mod_status.so
LoadModule php_module modules/libphp8.2.so
TypesConfig /etc/mime.types
DocumentRoot $demo/htdocs
DirectoryIndex index.php
StartServers 6
MinSpareServers 3
MaxSpareServers 6
MaxRequestWorkers 10
MaxConnectionsPerChild 150
<FilesMatch "\.php$">
    SetHandler application/x-httpd-php
</FilesMatch>
EOF
    record apache2-prefork /usr/sbin/apache2 -f $demo/apache2.conf -DFOREGROUND &
    recorded=$!
    up curl -s -f "http://127.0.0.1:$port/index.php"
    ab -q -n 1200 -c 8 "http://127.0.0.1:$port/index.php" > ab.txt
    sleep 2
    kill -WINCH "$(cat run/apache2.pid)"
    wait $recorded
}

postgresql_pgbench() {
    bin=/usr/lib/postgresql/15/bin
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
    rm -rf pg
    mkdir pg
    chown postgres:postgres pg
    $as $bin/initdb -D $demo/pg/data -A trust > initdb.txt
    cat >> pg/data/postgresql.conf <<EOF
listen_addresses = ''
unix_socket_directories = '$demo/pg'
shared_buffers = 4MB
max_connections = 12
jit = off
EOF
    $as $bin/pg_ctl -D $demo/pg/data -w -l $demo/pg/log start > pg_ctl.txt
    $as $bin/pgbench -h $demo/pg -i -s 1 postgres > pgbench.txt 2>&1
    $as $bin/pg_ctl -D $demo/pg/data -w stop > pg_ctl.txt
    record postgresql-pgbench /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups $bin/postgres -D $demo/pg/data &
    recorded=$!
    up $bin/pg_isready -q -h $demo/pg
    $as $bin/pgbench -h $demo/pg -n -c 6 -t 60 postgres > pgbench.txt 2>&1
    $as $bin/psql -h $demo/pg -d postgres -qc 'vacuum analyze pgbench_accounts' > psql.txt
    kill -INT "$(head -n 1 pg/data/postmaster.pid)"
    wait $recorded
}

redis_bgsave() {
    rm -f redis.sock dump.rdb
    record redis-bgsave /usr/bin/redis-server --port 0 --unixsocket $demo/redis.sock --dir $demo --save '' > redis.txt &
    recorded=$!
    up redis-cli -s $demo/redis.sock ping
    for round in 1 2 3; do
        redis-benchmark -s $demo/redis.sock -t set,lpush,hset -n 6000 -r 4000 -d 400 -q > redis-benchmark.txt
        redis-cli -s $demo/redis.sock bgsave > /dev/null
        redis-benchmark -s $demo/redis.sock -t set,hset -n 6000 -r 4000 -d 500 -q > redis-benchmark.txt
    done
    sleep 1
    redis-cli -s $demo/redis.sock shutdown nosave > /dev/null 2>&1
    wait $recorded
}

nginx() {
    mkdir -p www
    awk 'BEGIN { for (n = 0; n < 4000; n++) print "<p>line " n "</p>" }' > www/index.html
    cat > nginx.conf <<EOF
daemon off;
user www-data;
worker_processes 4;
pid $demo/nginx.pid;
error_log /dev/null;
events { worker_connections 64; }
http {
    access_log off;
    include /etc/nginx/mime.types;
    gzip on;
    server {
        listen 127.0.0.1:$port;
        root $demo/www;
    }
}
EOF
    record nginx /usr/sbin/nginx -c $demo/nginx.conf &
    recorded=$!
    up curl -s -f "http://127.0.0.1:$port/"
    ab -q -n 600 -c 8 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/" > ab.txt
    kill -HUP "$(cat nginx.pid)"
    sleep 1
    ab -q -n 600 -c 8 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/" > ab.txt
    kill -QUIT "$(cat nginx.pid)"
    wait $recorded
}

git_gc() {
    rm -rf repository
    git init -q repository
    awk 'BEGIN {
        for (c = 1; c <= 400; c++) {
            print "commit refs/heads/main\ncommitter Demo <demo@example.org> " 1700000000 + c * 60 " +0000\ndata 6\nchange"
            for (f = 0; f < 4; f++) {
                text = ""
                for (n = 0; n < 120; n++) text = text "line " n " of file " (c * 7 + f) % 40 " at " (n % 20 ? 0 : c) "\n"
                print "M 100644 inline dir" f "/file" (c * 7 + f) % 40 "\ndata " length(text) "\n" text
            }
        }
    }' | git -C repository -c fastimport.unpackLimit=100000 fast-import --quiet
    record git-gc /usr/bin/git -C $demo/repository gc --quiet
}

python_pool() {
    cat > pool.py <<'EOF'
import multiprocessing

primes = [2, 3]  # inherited by every worker, which goes on from there


def extend(limit):
    n = primes[-1]
    while n < limit:
        n += 2
        if all(n % p for p in primes[1:60]):
            primes.append(n)
    return len(primes)


if __name__ == "__main__":
    extend(200_000)
    context = multiprocessing.get_context("fork")
    with context.Pool(4, maxtasksperchild=2) as pool:
        print(sum(pool.imap_unordered(extend, range(260_000, 420_000, 10_000))))
        pool.close()
        pool.join()
EOF
    record python-pool /usr/bin/python3 pool.py > /dev/null
}

perl_workers() {
    cat > workers.pl <<'EOF'
use strict;
use warnings;

my @field = map { join ",", map { "field $_" } 1 .. 20_000 } 1 .. 4;  # inherited by every worker, which goes on from there
my @worker;

for my $number (1 .. 4) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        for my $more (1 .. 60_000) {
            $field[$more % 4] .= ",worker $number $more";
        }
        print length("@field"), "\n";
        exit 0;
    }
    push @worker, $pid;
}
waitpid $_, 0 for @worker;
EOF
    record perl-workers /usr/bin/perl workers.pl > /dev/null
}

java_churn() {
    cat > Churn.java <<'EOF'
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

public class Churn {
    public static void main(String[] arguments) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 3; t++) {
            Thread thread = new Thread(() -> {
                Map<Integer, byte[]> kept = new HashMap<>();
                for (int n = 0; n < 60_000; n++)
                    kept.put(n % 2_000, new byte[200 + n % 400]);
                System.out.println(kept.size());
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads)
            thread.join();
    }
}
EOF
    /usr/lib/jvm/java-17-openjdk-amd64/bin/javac -d . Churn.java
    record "$1" /usr/lib/jvm/java-17-openjdk-amd64/bin/java "$2" -Xms8m -Xmx32m -cp $demo Churn > /dev/null
}

java_g1() {
    java_churn java-g1 -XX:+UseG1GC
}

java_zgc() {
    java_churn java-zgc -XX:+UseZGC
}

node_workers() {
    cat > workers.js <<'EOF'
const { Worker, isMainThread, workerData, parentPort } = require("worker_threads");
const { fork, execFileSync } = require("child_process");

function work(seed) {
    let kept = [];
    for (let n = 0; n < 40000; n++) {
        kept.push({ n, text: "x".repeat((n * seed) % 50) });
        if (kept.length > 5000) kept = kept.slice(2500);
    }
    return JSON.stringify(kept).length;
}

if (!isMainThread) {
    parentPort.postMessage(work(workerData));
} else if (process.argv[2]) {
    console.log(work(Number(process.argv[2])));
} else {
    for (const seed of [3, 5]) new Worker(__filename, { workerData: seed }).on("message", console.log);
    fork(__filename, ["7"]);
    console.log(execFileSync("/usr/bin/wc", ["-c", __filename]).toString(), work(11));
}
EOF
    record node-workers /usr/bin/node workers.js > /dev/null
}

chromium_headless() {
    rm -rf chromium
    cat > page.html <<'EOF'
<!doctype html><title>demo</title><ul id="list"></ul>
<script>
for (let n = 0; n < 2000; n++) {
    const item = document.createElement("li");
    item.textContent = "item " + n * n;
    document.getElementById("list").append(item);
}
</script>
EOF
    record chromium-headless /usr/lib/chromium/chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir=$demo/chromium \
        --dump-dom file://$demo/page.html > /dev/null
}

shell_commands() {
    cat > commands.sh <<'EOF'
n=0
while [ $n -lt 1200 ]; do
    n=$((n + 1))
    word=$(echo "line $n")
    (set -- $word; test "$2" = "$n")
    case $n in
    *0) word=$(echo "$word" | tr a-z A-Z) ;;
    *5) count=$(expr $n + 1) ;;
    esac
done
echo "$n $word $count"
EOF
    record shell-commands /bin/sh commands.sh > /dev/null
}

realloc_loop() {
    cat > grow.c <<'EOF'
#include <stdlib.h>
#include <string.h>
#define VECTORS 128

int main(void)
{
	char *vector[VECTORS] = { 0 };
	size_t size[VECTORS] = { 0 };

	for (int n = 0; n < VECTORS * 18; n++) {
		int i = n * 7 % VECTORS;
		size_t wanted = size[i] ? size[i] + size[i] / 2 : 1000;

		vector[i] = realloc(vector[i], wanted);
		if (!vector[i])
			return 1;
		memset(vector[i] + size[i], n, wanted - size[i]);
		size[i] = wanted;
	}
	return 0;
}
EOF
    gcc -O1 -o grow grow.c
    record realloc-loop ./grow
}

packages_of() {
    case $1 in
    shell-pipeline) echo bash findutils coreutils mawk ;;
    python-*) echo python3.11 ;;
    perl-workers) echo perl-base ;;
    make-compile) echo make gcc-12 binutils ;;
    apache2-prefork) echo apache2-bin libapache2-mod-php8.2 ;;
    postgresql-pgbench) echo postgresql-15 ;;
    redis-bgsave) echo redis-server libjemalloc2 ;;
    nginx) echo nginx ;;
    git-gc) echo git ;;
    java-*) echo openjdk-17-jre-headless ;;
    node-workers) echo nodejs ;;
    chromium-headless) echo chromium ;;
    shell-commands) echo dash coreutils ;;
    realloc-loop) echo libc6 gcc-12 ;;
    esac
}

mkdir -p $demo
cd $demo
rm -f failed
for name in ${*:-$names}; do
    packages=$(packages_of "$name")
    for run in 1 2; do
        "$(echo "$name" | tr - _)"
    done
done
[ ! -f failed ] || { echo "disagreed, or failed: $(tr '\n' ';' < failed)" >&2; exit 1; }
