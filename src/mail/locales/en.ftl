# English. Another language is this file under its own tag: the same messages, the same variables.

# How the language is written: ltr or rtl; a locale with the names of months and days; and the order
# of date and time (strftime), behind which the offset is put.
direction = ltr
posix-locale = en_GB
date-time = %A, %-d %B %Y, %H:%M

# Every invitation
subject = { $org } invites you to enroll your device
title = Enroll your device
greeting = Hello { $name },
intro = { $org } invites you to enroll your device, so that it can be set up and looked after for you. It takes a few minutes.
note-title = A note from your administrator
steps-title = How to enroll
step-open = On the device that you want to enroll, open this page:
step-follow = Follow the steps on the screen.
on-this-device = Reading this on the device that you want to enroll?
button = Start enrolling
why = You receive this message because an administrator at { $org } has invited the user { $username } to enroll a device.
unexpected = Not expecting it? You can ignore this message: nothing happens unless you enroll.
questions = Questions? { $support }

# After an enrollment
confirmation-subject = Your device is enrolled at { $org }
confirmation-preheader = Enrolled { $at }
confirmation-title = Your device is enrolled
confirmation-intro = A device has been enrolled at { $org } for the user { $username }. There is nothing more to do.
confirmation-device = Device
confirmation-number = Serial number or id
confirmation-when = Enrolled
confirmation-owner = Owner
confirmation-user-owned = You: it is your own device
confirmation-company-owned = { $org }
confirmation-not-you-title = It was not you?
confirmation-not-you-support = Then somebody else has enrolled a device in your name. Tell { $support } at once.
confirmation-not-you = Then somebody else has enrolled a device in your name. Tell your administrator at { $org } at once.
confirmation-why = You receive this message because { $org } confirms every enrollment. You need not answer it.

# With a PIN
preheader-pin = Your PIN is in this message. It works until { $until }.
pin-title = Your PIN
pin-until = Works until { $until }
pin-private = It is for you alone. Nobody at { $org } will ever ask you for it.
step-pin = Enter your username { $username } and the PIN above.

# With the password
preheader-password = You enroll with the password that you already have, until { $until }.
password-title = Your username
password-until = Open until { $until }
password-private = Use the password that you already have at { $org }. It is never sent by e-mail.
step-password = Sign in with your username { $username } and your password.

# With both
preheader-pin-and-password = Your PIN is in this message. You also need your password. It works until { $until }.
step-pin-and-password = Enter your username { $username }, your password, and the PIN above.

# With a QR code
preheader-qr = Your QR code is in this message. It works until { $until }.
qr-title = Your QR code
qr-alt = QR code for enrolling your device. No picture? The link below does the same.
qr-until = Works until { $until }
qr-private = The code and the link are for you alone. Please do not pass them on.
qr-or-link = The same as a link:
step-scan = Scan the QR code with the camera of the device that you want to enroll.
step-scan-open = Open the link that appears.
# In the text part, which has no picture
link-title = Your link
link-private = The link is for you alone. Please do not pass it on.
step-link = On the device that you want to enroll, open the link above.
