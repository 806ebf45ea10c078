"""`make lab` serves this machine only, and who has the token."""

import http.cookiejar
import json
import urllib.request

import pytest


def test_it_listens_on_this_machine_only(lab):
    listening = [each.laddr.ip for each in lab.process.net_connections("inet") if each.status == "LISTEN"]
    assert listening and set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize("token", [None, "", "wrong"])
class TestWithoutTheToken:
    @pytest.mark.parametrize("path", ["api/contents/notebooks", "api/kernels", "api/sessions", "api/status", "api/terminals"])
    def test_a_question_is_refused(self, lab, path, token):
        assert lab.ask(path, token)[0] == 403

    @pytest.mark.parametrize("path", ["lab", "lab/tree/notebooks", "files/notebooks/01-mremap.ipynb"])
    def test_a_page_asks_for_it_and_shows_nothing_else(self, lab, path, token):
        status, content = lab.ask(path, token)
        assert status == 200 and b"password_input" in content
        assert b"jupyter-config-data" not in content and b"nbformat" not in content

    @pytest.mark.parametrize("path", ["api/kernels", "api/terminals"])
    def test_nothing_can_be_started(self, lab, path, token):
        cookies = http.cookiejar.CookieJar()  # as of a browser that has seen the page that asks for the token
        urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies)).open(lab.url + "login").close()
        (xsrf,) = (cookie.value for cookie in cookies if cookie.name == "_xsrf")
        status, content = lab.ask(path, token, "POST", **{"Cookie": f"_xsrf={xsrf}", "X-XSRFToken": xsrf})
        assert status == 403 and json.loads(content)["message"] == "Forbidden"
        assert json.loads(lab.ask(path, lab.token)[1]) == []


def test_with_the_token_one_gets_in(lab):
    status, content = lab.ask("api/contents/notebooks", lab.token)
    assert status == 200 and any(each["name"] == "01-mremap.ipynb" for each in json.loads(content)["content"])
    assert b"jupyter-config-data" in lab.ask(f"lab?token={lab.token}")[1]
    assert len(lab.token) >= 32
