"""What there must be at the end: all that was acknowledged, once."""

import time
from collections import Counter

# A result is written this soon after its mail: of whoever is killed or frozen before, the mail is sent again.
WRITTEN_WITHIN = 1.5
OPEN = "SELECT count(*) FROM messages WHERE state IN ('queued', 'sending', 'deferred')"


def settle(town, seconds=240):
    """Waits until no mail is left to be sent; gives how many are."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        left = int(town.cluster.primary().sql(OPEN)[0][0])
        if not left:
            break
        time.sleep(1)
    return left


class Reckoning:
    """Says of each book what was lost and what there is twice."""

    def __init__(self, town):
        sql = town.cluster.primary().sql
        self.town = town
        self.users = dict(sql("SELECT id, email FROM users"))
        self.groups = dict(sql("SELECT id, name FROM groups"))
        self.invitations = dict(sql("SELECT id, user_id FROM invitations"))
        self.enrollments = dict(sql("SELECT id, invitation_id FROM enrollments"))
        self.states = {row[0]: row[1] for row in sql("SELECT invitation_id, state FROM messages WHERE kind = 'invitation'")}
        self.devices = Counter(row[0] for row in sql("SELECT user_id FROM devices WHERE retired_at IS NULL"))
        self.invited = Counter(self.invitations.values())
        self.enrolled = Counter(self.enrollments.values())

    def lost(self, book):
        found = [f"group {name}" for id, name in book.groups.items() if self.groups.get(id) != name]
        for story in book.everybody():
            if story.user and self.users.get(story.user) != story.email:
                found.append(f"user {story.email}")
            if story.invitation and self.invitations.get(story.invitation) != story.user:
                found.append(f"invitation of {story.email}")
            if story.invitation and story.email not in self.town.sink.by_recipient:
                found.append(f"mail to {story.email}, which is {self.states.get(story.invitation)}")
            if story.enrollment and self.enrollments.get(story.enrollment) != story.invitation:
                found.append(f"enrollment of {story.email}")
        return found

    def doubled(self, book):
        """And how many mails came twice because their sender was not told, or was gone before it can have written that down."""
        found, explained = [], 0
        # Also of those that nobody acknowledged: whoever is there was made for one of the stories.
        for story in book.everybody():
            mails = self.town.sink.by_recipient.get(story.email, [])
            user = story.user or next((id for id, email in self.users.items() if email == story.email), None)
            if len({mail.message_id for mail in mails}) > 1:
                found.append(f"mails of several messages to {story.email}")
            for message_id, copies in Counter(mail.message_id for mail in mails).items():
                first = next(mail for mail in mails if mail.message_id == message_id)
                if copies > 1 and (not first.told or self.was_gone(first)):
                    explained += 1
                elif copies > 1:
                    within, by = mails[-1].at - first.at, ", ".join(mail.helo for mail in mails)
                    found.append(f"mail to {story.email}, {copies} times within {within:.0f} s, by {by}")
            if self.invited[user] > 1:
                found.append(f"invitation of {story.email}")
            if self.enrolled[story.invitation] > 1 or self.devices[user] > 1:
                found.append(f"enrollment of {story.email}")
        names = Counter(self.groups.values())
        found += [f"group {name}" for name in book.groups.values() if names[name] > 1]
        return found, explained

    def was_gone(self, mail):
        senders = [instance for instance in self.town.instances if mail.helo == instance.helo]
        return any(mail.begun <= gone <= mail.at + WRITTEN_WITHIN for sender in senders for gone in sender.gone)
