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
