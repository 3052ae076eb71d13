# English. A language is this file under another tag: the same messages, the same variables.
posix-locale = en_GB
# strftime; the offset is added behind it.
date-time = %A, %-d %B %Y, %H:%M

subject = { $org }: enroll your device
preheader-pin = Your PIN is inside. It works until { $until }.
preheader-password = How to enroll your device, with the password that you have. Open until { $until }.
preheader-pin-and-password = Your PIN is inside. You also need your password. Open until { $until }.
preheader-qr = Your QR code is inside. It works until { $until }.
greeting = Hello { $name },
intro = { $org } invites you to enroll your device. It takes a few minutes, and you can do it wherever you are.
note-title = A note from { $org }

pin-title = Your PIN
pin-until = Works until { $until }.
pin-single-use = It works once, for you only. Nobody from { $org } will ask you for it.
qr-title = Your QR code
qr-alt = QR code for enrolling your device. If you cannot see it, use the link beside it.
qr-until = Works until { $until }.
qr-or-link = Cannot scan it? Open this link on the device instead:
qr-single-use = The code and the link are yours only. Please do not pass them on.
password-until = Open until { $until }.

steps-title = How it works
step-open = On the device that you want to enroll, open
step-pin = Enter your username { $username } and the PIN above.
step-password = Sign in with your username { $username } and your password.
step-pin-and-password = Enter your username { $username }, your password, and the PIN above.
step-scan = Scan the QR code with the camera of the device that you want to enroll.
step-scan-other = Reading this on that device? Use the button or the link instead.
step-follow = Follow the steps on the screen.
button = Start enrolling

why = You get this message because an administrator of { $org } has invited you ({ $username }).
unexpected = Not expecting it? Then do nothing: nothing happens unless you start enrolling.
unexpected-ask = Not expecting it? Then do nothing, or ask { $support }.
questions = Questions? { $support }
