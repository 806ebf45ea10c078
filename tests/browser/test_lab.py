"""`make lab` serves this machine only, and who has the token."""

import json

import pytest


def test_it_listens_on_this_machine_only(lab):
    listening = [each.laddr.ip for each in lab.process.net_connections("inet") if each.status == "LISTEN"]
    assert listening and set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize("token", [None, "", "wrong"])
@pytest.mark.parametrize("method, path", [
    ("GET", "api/contents/notebooks"), ("GET", "api/kernels"), ("POST", "api/kernels"), ("GET", "api/sessions"),
    ("GET", "files/notebooks/01-mremap.ipynb"), ("POST", "api/terminals"),
])
def test_a_request_without_the_token_is_refused(lab, method, path, token):
    status, content = lab.ask(path, token, method)
    assert status == 403 or b"<title>Jupyter Server</title>" in content and b"password" in content
    assert b"nbformat" not in content
    assert json.loads(lab.ask("api/kernels", lab.token)[1]) == []


def test_a_page_without_the_token_asks_for_it(lab):
    status, content = lab.ask("lab")
    assert status == 200 and b"password_input" in content and b"jupyter-config-data" not in content


def test_with_the_token_one_gets_in(lab):
    status, content = lab.ask("api/contents/notebooks", lab.token)
    assert status == 200 and any(each["name"] == "01-mremap.ipynb" for each in json.loads(content)["content"])
    assert b"jupyter-config-data" in lab.ask(f"lab?token={lab.token}")[1]
    assert len(lab.token) >= 32
