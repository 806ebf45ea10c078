"""The report on known vulnerabilities, over a service of its own."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SCRIPT = Path(__file__).parent / "audit.py"
LOCK = "numpy==2.1.0 \\\n    --hash=sha256:00\npillow==1.0 ; python_version > '3' \\\n    --hash=sha256:00\n"


class Advisories(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": [
            {"vulns": [{"id": "PYSEC-1"}]} if query["package"]["name"] == "pillow" else {} for query in asked]}).encode())

    def log_message(self, *_):
        pass


def said(tmp_path, url):
    (tmp_path / "lock").write_text(LOCK)
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "lock"], env={"RMAPMODEL_ADVISORIES": url}, capture_output=True,
                          text=True, check=True)
    return done.stdout.splitlines()


def test_audit(tmp_path):
    with HTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.handle_request).start()
        assert said(tmp_path, f"http://127.0.0.1:{server.server_port}/") == [
            "audit: pillow 1.0: PYSEC-1", "audit: 2 packages, 1 with advisories"]


def test_a_service_that_does_not_answer_is_said_and_fails_nothing(tmp_path):
    (line,) = said(tmp_path, "http://127.0.0.1:9/")
    assert line.startswith("audit: 2 packages not looked up")
