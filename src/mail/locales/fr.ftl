# Français.
posix-locale = fr_FR
date-time = %A %-d %B %Y à %H:%M

subject = { $org } : enregistrez votre appareil
preheader-pin = Votre code PIN se trouve dans ce message. Il est valable jusqu’au { $until }.
preheader-password = Comment enregistrer votre appareil avec votre mot de passe habituel. Possible jusqu’au { $until }.
preheader-pin-and-password = Votre code PIN se trouve dans ce message. Il vous faudra aussi votre mot de passe. Possible jusqu’au { $until }.
preheader-qr = Votre code QR se trouve dans ce message. Il est valable jusqu’au { $until }.
greeting = Bonjour { $name },
intro = { $org } vous invite à enregistrer votre appareil. Cela prend quelques minutes, où que vous soyez.
note-title = { $org } vous écrit

pin-title = Votre code PIN
pin-until = Valable jusqu’au { $until }.
pin-single-use = Il sert une seule fois et n’est destiné qu’à vous. Personne chez { $org } ne vous le demandera.
qr-title = Votre code QR
qr-alt = Code QR pour enregistrer votre appareil. S’il ne s’affiche pas, utilisez le lien à côté.
qr-until = Valable jusqu’au { $until }.
qr-or-link = Impossible de le scanner ? Ouvrez plutôt ce lien sur l’appareil :
qr-single-use = Le code et le lien ne sont destinés qu’à vous. Merci de ne pas les transmettre.
password-until = Possible jusqu’au { $until }.

steps-title = Comment faire
step-open = Sur l’appareil à enregistrer, ouvrez
step-pin = Saisissez votre nom d’utilisateur { $username } et le code PIN ci-dessus.
step-password = Connectez-vous avec votre nom d’utilisateur { $username } et votre mot de passe.
step-pin-and-password = Saisissez votre nom d’utilisateur { $username }, votre mot de passe et le code PIN ci-dessus.
step-scan = Scannez le code QR avec l’appareil photo de l’appareil à enregistrer.
step-scan-other = Vous lisez ce message sur cet appareil ? Utilisez plutôt le bouton ou le lien.
step-follow = Suivez les étapes à l’écran.
button = Commencer

why = Vous recevez ce message parce qu’un administrateur, chez { $org }, a envoyé une invitation à { $username }.
unexpected = Vous ne l’attendiez pas ? Ne faites rien : il ne se passe rien tant que vous ne commencez pas l’enregistrement.
unexpected-ask = Vous ne l’attendiez pas ? Ne faites rien, ou demandez à { $support }.
questions = Des questions ? { $support }
