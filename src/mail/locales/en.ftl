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

# Every reminder of an invitation
reminder-subject = Reminder: { $org } invites you to enroll your device
reminder-title = Your device is not enrolled yet
reminder-intro = { $org } has invited you to enroll your device, so that it can be set up and looked after for you. This is still to be done, and takes a few minutes. Use this message: what an older one says may no longer work.
reminder-why = You receive this reminder because an administrator at { $org } has invited the user { $username } to enroll a device. There will be none once you have enrolled.

# After an enrollment
confirmation-subject = Your device is enrolled at { $org }
confirmation-preheader = Enrolled { $at }
confirmation-title = Your device is enrolled
confirmation-intro = A device has been enrolled at { $org } for the user { $username }. There is nothing more to do.
confirmation-device = Device
confirmation-number = Serial number or id
confirmation-when = Enrolled
confirmation-owner = Owner
confirmation-line = { $name }: { $value }
confirmation-user-owned = You: it is your own device
confirmation-company-owned = { $org }
confirmation-not-you-title = It was not you?
confirmation-not-you-support = Then somebody else has enrolled a device in your name. Tell { $support } at once.
confirmation-not-you = Then somebody else has enrolled a device in your name. Tell your administrator at { $org } at once.
confirmation-why = You receive this message because { $org } confirms every enrollment. You need not answer it.

# A test of the mail server
test-subject = Test mail from Enlist ({ $org })
test-title = This is a test
test-text = Enlist, which sends the invitations of { $org }, can send mail to this address. There is nothing to do.

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
qr-alt-set-up = QR code that sets your device up. No picture? The link below leads to it.
qr-or-page = The code on a page of its own, for another screen:
step-scan = Scan the QR code with the camera of the device that you want to enroll.
step-scan-open = Open the link that appears.
# In the text part, which has no picture
link-title = Your link
link-private = The link is for you alone. Please do not pass it on.
step-link-set-up = On another screen, open the link above: it shows a QR code.
step-link = On the device that you want to enroll, open the link above.

# The landing page
page-lead-phone = { $org } has invited you to enroll this device, so that it can be set up and looked after for you. It takes a few minutes.
page-lead-other = { $org } has invited you to enroll a device. Use the phone, tablet or computer that is to be enrolled.
page-lead-apple = { $org } has invited you to enroll an iPhone, an iPad or a Mac.
page-lead-setup = { $org } has invited you to set up an Android device: a new one, or one that has been reset to factory settings. This code does it.
page-lead-general = This is where you enroll a device with { $org }. Have the message with your invitation at hand.
page-person = For { $name } ({ $username })
page-person-one = For { $name }
page-until = Works until { $until }
page-private = This page is for you alone. Please do not pass its link on.
page-button = Continue
page-here = Is this the device that you want to enroll?
page-qr-alt = QR code for enrolling your device
page-step-tap = Tap the button above.
page-step-here = Open this page on the device that you want to enroll: scan the code with its camera.
page-step-open = Open the app or the page with which { $org } enrolls devices. If you do not know it, ask your administrator.
page-step-pin = When you are asked, enter your username { $username } and the PIN from your message.
page-step-password = When you are asked, enter your username { $username } and your own password.
page-step-pin-and-password = When you are asked, enter your username { $username }, your own password, and the PIN from your message.
page-step-code = When you are asked for a code, scan the QR code from your message.
page-step-any = When you are asked, enter your username, and the PIN or the password that your message speaks of.
step-apple-allow = If you are asked whether to download a configuration profile, allow it.
step-apple-settings = Open Settings. Near the top it says “Profile Downloaded” or “Enroll”: open that.
step-apple-install = Choose “Install” and follow the steps on the screen.
page-step-android-app = If an app is offered to you, install it and open it.
page-step-android-follow = Follow the steps on the screen, and stay online until they are done.
step-setup-start = Turn the device on. If it has been in use before, reset it to factory settings first.
step-setup-tap = Tap six times on the same place of the first screen, until a scanner opens.
step-setup-scan = Scan this code. If you are asked for a network, choose your Wi-Fi.
page-setup-other = To set up the very device that you are reading this on, open this page on another screen: the code has to be scanned.
page-general-code = Is there a QR code in your message? Scan it with the camera of your device instead: it leads you on.
page-general-none = No message? Look into your junk folder, or ask your administrator for an invitation.

# The landing page, when an invitation is over
page-expired = This invitation has expired
page-expired-why = It worked until { $until }.
page-pin-expired = Your PIN has expired
page-pin-expired-why = It worked until { $until }. Your invitation itself is still open: all you need is a new PIN.
page-pin-request = Where you are asked for the PIN, you may be able to have a new one sent to you.
page-completed = This invitation has been used
page-completed-why = A device has been enrolled with it. If you did that, you are done: you can close this page.
page-completed-more = Another device to enroll? Ask your administrator for another invitation.
page-completed-other = It was not you? Tell your administrator at once.
page-revoked = This invitation has been withdrawn
page-revoked-why = It can no longer be used to enroll a device.
page-superseded = There is a newer invitation
page-superseded-why = Another message has been sent to you since. Use the newest one in your mailbox: this one no longer works.
page-ask-new = If you still want to enroll a device, ask your administrator for a new invitation.
page-ask-again = Can you not find it? Your administrator can send it to you again.
page-ask-pin = Your administrator can send you a new one.
page-later = This page cannot be shown just now
page-later-why = That is our fault and will pass. Please try again in a few minutes: your invitation is not lost.
page-unknown = This link does not work
page-unknown-why = It may have been cut off or changed on its way to you.
page-unknown-again = Open the link in your message once more, or copy the whole of it. If there is a QR code, scan that.
