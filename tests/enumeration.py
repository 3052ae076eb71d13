"""Asks who is there, as somebody without a key can: by what is answered, and by when. Run by enumeration.sh."""

import http.client
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time

SAMPLES = int(os.environ.get("ENUMERATION_SAMPLES", "200"))
WARM_UP = 20
# A difference that chance alone shows less often than this is one.
LEAST_P = 0.01
WRONG = {"pin": {"pin": "0000"}, "password": {"password": "wrong horse"}}

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))


def ask(method, path, body, key=None, kind="application/json"):
    headers = {"Content-Type": kind}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    text = body if isinstance(body, str) else json.dumps(body)
    begun = time.perf_counter()
    connection.request(method, path, text, headers)
    answer = connection.getresponse()
    content = answer.read().decode()
    return answer, content, time.perf_counter() - begun


def admin(method, path, body, kind="application/json"):
    answer, content, _ = ask(method, path, body, os.environ["ENUMERATION_KEY"], kind)
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {content}")
    return json.loads(content) if content else None


def sql(statements):
    command = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", os.environ["DATABASE_URL"], "-c", statements]
    subprocess.run(command, check=True)


def fill():
    """Users with a password and a pending PIN, and operators."""
    known = SAMPLES + WARM_UP
    # The one half is asked for PINs, the other for passwords.
    names = [f"user{number:04},user{number:04}@example.com" for number in range(2 * known)]
    names += ["ada,ada@example.com", "short,short@example.com", "used,used@example.com"]
    admin("POST", "/users/import", "\n".join(["username,email", *names, ""]), "text/csv")
    admin("POST", "/invitations/send", {"filter": {}, "delivery": "none"})
    admin("POST", "/operators", {"email": "ada@example.com", "role": "reader", "password": "correct horse"})
    sql(f"""
        UPDATE users SET password_hash = (SELECT password_hash FROM operators LIMIT 1);
        INSERT INTO operators (id, email, role, password_hash, enabled, created_at, updated_at)
        SELECT gen_random_uuid(), 'user' || lpad(n::text, 4, '0') || '@example.com', 'reader', o.password_hash, true, now(), now()
        FROM operators o, generate_series(0, {known - 1}) n;
        UPDATE invitations SET pin_length = 4 WHERE user_id = (SELECT id FROM users WHERE username = 'short');
        UPDATE invitations SET pin_tries = 50 WHERE user_id = (SELECT id FROM users WHERE username = 'used');
        ANALYZE;""")


def guess(kind, name):
    if kind == "sign-in":
        return ask("POST", "/sessions", {"email": name, "password": "wrong horse"})
    body = {"username": name, "device": {"serial_number": "S"}, **WRONG[kind]}
    return ask("POST", "/enrollments", body)


def times():
    """How long each kind of wrong takes, in turns, each with a name of its own: so that nobody is in a pause."""
    known = SAMPLES + WARM_UP
    took = {}
    for number in range(known):
        kinds = [(kind, who) for kind in ("pin", "password", "sign-in") for who in ("user", "none")]
        random.shuffle(kinds)
        for kind, who in kinds:
            index = number + known if kind == "password" else number
            answer, content, seconds = guess(kind, f"{who}{index:04}@example.com")
            if answer.status != 401:
                sys.exit(f"{kind} of {who}: {answer.status} {content}")
            if number >= WARM_UP:
                took.setdefault((kind, who), []).append(seconds * 1000)
    return took


def mann_whitney(ones, others):
    """The chance that samples of one distribution differ so much (two-sided; by the normal distribution, with ties)."""
    everything = sorted([(value, 0) for value in ones] + [(value, 1) for value in others])
    count, ranks, ties, begin = len(everything), 0.0, 0, 0
    while begin < count:
        end = begin
        while end < count and everything[end][0] == everything[begin][0]:
            end += 1
        rank = (begin + 1 + end) / 2
        ranks += rank * sum(1 for _, side in everything[begin:end] if side == 0)
        ties += (end - begin) ** 3 - (end - begin)
        begin = end
    one, other = len(ones), len(others)
    u = ranks - one * (one + 1) / 2
    variance = one * other / 12 * (count + 1 - ties / (count * (count - 1)))
    return math.erfc(max(abs(u - one * other / 2) - 0.5, 0) / math.sqrt(2 * variance))


def seen(answer, content):
    """All of an answer, but for what belongs to the request and the address. And how long to wait, in seconds."""
    own = {"date", "x-request-id", "ratelimit", "retry-after", "content-length"}
    headers = sorted((name.lower(), value) for name, value in answer.getheaders() if name.lower() not in own)
    body = json.loads(content)
    body.pop("request_id", None)
    return answer.status, headers, body, int(answer.getheader("retry-after", "0"))


def later(seconds):
    """Moves what was counted into the past; what is a day old then is forgotten, as the service does every ten minutes."""
    sql(f"""
        UPDATE guesses SET locked_until = locked_until - interval '{seconds} s', updated_at = updated_at - interval '{seconds} s',
            counted_before = counted_before - interval '{seconds} s';
        UPDATE invitations SET pin_locked_until = pin_locked_until - interval '{seconds} s';
        DELETE FROM guesses WHERE updated_at <= now() - interval '24 hours';""")


def sequences():
    """Asks names of all sorts in step, into pauses, out of them and a day later. Gives what differed."""
    people = ["nobody", "nobody@example.com", "ada", "ADA@Example.com", "short", "short@example.com", "used", "used@example.com"]
    names = {"pin": people, "password": people, "sign-in": ["nobody@example.com", "ada@example.com"]}
    found = []
    for wait in (0, 30, 60, 120, 25 * 3600, 30):
        later(wait)
        for kind in names:
            for step in range(7):
                answers = [seen(*guess(kind, name)[:2]) for name in names[kind]]
                for name, answer in zip(names[kind], answers):
                    same = answer[:3] == answers[0][:3] and abs(answer[3] - answers[0][3]) <= 1
                    if not same:
                        found.append(f"{kind}, {wait} s later, step {step}: {name} {answer} and {names[kind][0]} {answers[0]}")
    return found


def main():
    fill()
    took = times()
    failed = False
    print("| asked | nobody, ms | somebody, ms | p |\n|---|---:|---:|---:|")
    for kind in ("pin", "password", "sign-in"):
        nobody, somebody = took[kind, "none"], took[kind, "user"]
        p = mann_whitney(nobody, somebody)
        failed |= p <= LEAST_P
        print(f"| {kind} | {statistics.median(nobody):.2f} | {statistics.median(somebody):.2f} | {p:.3f} |")
    found = sequences()
    for difference in found:
        print(difference)
    print(f"{len(found)} answers differ between aliases, users, strangers, short PINs and used up ones.")
    if failed or found:
        sys.exit("It can be told who is there.")
    print("Nothing tells who is there.")


main()
