"""Chromium for the scripts beside this file, through its driver (Debian: chromium, chromium-driver)."""

import base64
import json
import re
import subprocess
import sys
import time
import urllib.request

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--lang=en",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]


def ask(url, body=None, headers=None, method=None):
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(), method=method,
                                     headers={"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Browser:
    """Chromium, driven by the WebDriver protocol."""

    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        while not (port := re.search(r"started successfully on port (\d+)", self.driver.stdout.readline())):
            if self.driver.poll() is not None:
                sys.exit("chromedriver did not start; is it installed (Debian: chromium-driver)?")
        self.url = f"http://127.0.0.1:{port[1]}/session"

    def picture(self, url, path, width, height, *, dark=False, ready="return true", agent=None, run=None, whole=False):
        """A screenshot of a page, once the script `ready` finds it there. Gives what the script `run` returns."""
        options = {
            "args": ARGUMENTS + (["--blink-settings=preferredColorScheme=0"] if dark else []),
            # A window cannot be as narrow as a phone, and loses some height to its frame.
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "mobile": width < 500,
                                                  "pixelRatio": 2 if width < 500 else 1}},
        }
        if agent:
            options["mobileEmulation"]["userAgent"] = agent
        session = ask(self.url, {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})["value"]
        here = f"{self.url}/{session['sessionId']}"
        result = None
        try:
            ask(f"{here}/url", {"url": url})
            for _ in range(100):
                if ask(f"{here}/execute/sync", {"script": ready, "args": []})["value"]:
                    break
                time.sleep(0.1)
            else:
                sys.exit(f"{url} is not ready")
            if run:
                result = ask(f"{here}/execute/async", {"script": run, "args": []})["value"]
            # What arrives last still fades in.
            time.sleep(0.5)
            if whole:
                clip = {"x": 0, "y": 0, "width": width, "scale": 1, "height": ask(
                    f"{here}/execute/sync",
                    {"script": "return document.documentElement.scrollHeight", "args": []})["value"]}
                shot = ask(f"{here}/goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {
                    "captureBeyondViewport": True, "clip": clip}})["value"]["data"]
            else:
                shot = ask(f"{here}/screenshot")["value"]
            with open(path, "wb") as file:
                file.write(base64.b64decode(shot))
        finally:
            ask(here, method="DELETE")
        print(path)
        return result

    def stop(self):
        self.driver.terminate()
        self.driver.wait(10)
