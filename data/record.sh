#!/bin/sh
# Records the programs of data/traces with `rmapmodel record`. Run as root on Debian 12 with strace, linux-perf, bash, make, gcc, python3, apache2, apache2-utils, libapache2-mod-php and curl installed:
#   sh data/record.sh [shell-pipeline] [python-subprocess-threads] [make-compile] [apache2-prefork]
# PYTHON names the interpreter that has rmapmodel. Programs run in /srv/demo, with an environment of their own, so that
# no name of a person or a machine gets into a trace. It stops if a process disagrees with its own maps.
set -eu
traces=$(cd "$(dirname "$0")/traces" && pwd)
python=${PYTHON:-python3}
demo=/srv/demo
port=8088

record() {
    name=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=$demo \
        "$python" -m rmapmodel record -o "$traces/$name.jsonl.gz" -- "$@"
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
    while ! curl -s -o /dev/null "http://127.0.0.1:$port/index.php"; do sleep 0.2; done
    ab -q -n 1200 -c 8 "http://127.0.0.1:$port/index.php" > ab.txt
    sleep 2
    kill -WINCH "$(cat run/apache2.pid)"
    wait $!
}

mkdir -p $demo
cd $demo
for name in ${*:-shell-pipeline python-subprocess-threads make-compile apache2-prefork}; do
    "$(echo "$name" | tr - _)"
done
