"""What `make schemathesis` leaves out."""

import os

import schemathesis


@schemathesis.serializer("message/rfc822")
def mail(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(context, case):
    # A header that nobody knows is no fault: proxies and browsers add some to every request.
    if "x-schemathesis-unknown-property" in (case.headers or {}):
        return False
    # Whoever revokes the key that is used for asking hears nothing but 401 from then on.
    mine = os.environ["SCHEMATHESIS_KEY"]
    parameters = case.path_parameters or {}
    return not (case.method == "DELETE" and str(parameters.get("id", "")).lower() == mine)


@schemathesis.hook("filter_case")
def texts_only(context, case):
    # Every text is one to a mail's reader, whatever JSON would call it.
    return case.media_type != "message/rfc822" or isinstance(case.body, (str, bytes))


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


@schemathesis.hook("filter_case")
def too_long_without_blanks(context, case):
    # `maxLength` is of a text without the blanks at its ends, which a schema cannot say and the document does.
    return all(text == text.strip() for text in texts(case.body) if len(text) > 100)
