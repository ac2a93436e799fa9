"""[log] output_mode and directory: who gets what, and no colours in files."""
import os

import pytest

from lib import http, site


@pytest.mark.parametrize("mode", ["both", "file", "console"])
@pytest.mark.parametrize("form", ["json", "logfmt", "combined", "${target}"])
def test_modes(sluice, tmp, mode, form):
    """What a client sends cannot colour a line either."""
    site.write(tmp)
    s = sluice(site.CONF + f"[log]\noutput_mode = {mode}\nformat = {form}\n"
               "directory = @dir@/new\n")
    assert http.get(s.port, "/hello?seen", headers={
        "User-Agent": "a\x9b1mb", "Referer": "c"}).status == 200
    s.stop()
    top = os.path.join(s.dir, "new")
    text = ""
    names = os.listdir(top)
    assert bool(names) == (mode != "console")
    for name in names:
        with open(f"{top}/{name}", encoding="utf-8") as f:
            text += f.read()
    assert ("/hello?seen" in text) == (mode != "console")
    assert ("/hello?seen" in s.stderr()) == (mode != "file")
    # stderr is a file here, too: colours are a terminal's
    for c in "\033", "\x9b":
        assert c not in text and c not in s.stderr()
