# Français.

# Le sens d’écriture, une locale pour les noms de mois et de jours, et l’ordre de la date.
direction = ltr
posix-locale = fr_FR
date-time = %A %-d %B %Y à %H:%M

# Toutes les invitations
subject = { $org } vous invite à enregistrer votre appareil
title = Enregistrez votre appareil
greeting = Bonjour { $name },
intro = { $org } vous invite à enregistrer votre appareil, afin de le configurer et d’en assurer le suivi pour vous. Cela ne prend que quelques minutes.
note-title = Un mot de votre administrateur
steps-title = Comment procéder
step-open = Sur l’appareil à enregistrer, ouvrez cette page :
step-follow = Suivez les étapes à l’écran.
on-this-device = Vous lisez ce message sur l’appareil à enregistrer ?
button = Commencer l’enregistrement
why = Vous recevez ce message parce qu’un administrateur chez { $org } a invité l’utilisateur { $username } à enregistrer un appareil.
unexpected = Vous ne vous y attendiez pas ? Vous pouvez ignorer ce message : il ne se passe rien tant que vous n’enregistrez pas d’appareil.
questions = Des questions ? { $support }

# Après un enregistrement
confirmation-subject = Votre appareil est enregistré chez { $org }
confirmation-preheader = Enregistré le { $at }
confirmation-title = Votre appareil est enregistré
confirmation-intro = Un appareil a été enregistré chez { $org } pour l’utilisateur { $username }. Il ne vous reste rien à faire.
confirmation-device = Appareil
confirmation-number = Numéro de série ou identifiant
confirmation-when = Enregistré le
confirmation-owner = Propriétaire
confirmation-user-owned = Vous : c’est votre propre appareil
confirmation-company-owned = { $org }
confirmation-not-you-title = Ce n’était pas vous ?
confirmation-not-you-support = Quelqu’un d’autre a donc enregistré un appareil en votre nom. Signalez-le sans attendre à { $support }.
confirmation-not-you = Quelqu’un d’autre a donc enregistré un appareil en votre nom. Signalez-le sans attendre à votre administrateur chez { $org }.
confirmation-why = Vous recevez ce message parce que { $org } confirme chaque enregistrement. Il n’appelle pas de réponse.

# Avec un code PIN
preheader-pin = Votre code PIN se trouve dans ce message. Il est valable jusqu’au { $until }.
pin-title = Votre code PIN
pin-until = Valable jusqu’au { $until }
pin-private = Il n’est destiné qu’à vous. Personne chez { $org } ne vous le demandera.
step-pin = Saisissez votre nom d’utilisateur { $username } et le code PIN ci-dessus.

# Avec le mot de passe
preheader-password = Le mot de passe que vous avez déjà suffit, jusqu’au { $until }.
password-title = Votre nom d’utilisateur
password-until = Possible jusqu’au { $until }
password-private = Utilisez le mot de passe que vous avez déjà chez { $org }. Il n’est jamais envoyé par e-mail.
step-password = Connectez-vous avec votre nom d’utilisateur { $username } et votre mot de passe.

# Avec les deux
preheader-pin-and-password = Votre code PIN se trouve dans ce message. Il vous faut aussi votre mot de passe. Valable jusqu’au { $until }.
step-pin-and-password = Saisissez votre nom d’utilisateur { $username }, votre mot de passe et le code PIN ci-dessus.

# Avec un code QR
preheader-qr = Votre code QR se trouve dans ce message. Il est valable jusqu’au { $until }.
qr-title = Votre code QR
qr-alt = Code QR pour enregistrer votre appareil. Il ne s’affiche pas ? Le lien ci-dessous le remplace.
qr-until = Valable jusqu’au { $until }
qr-private = Le code et le lien ne sont destinés qu’à vous. Merci de ne pas les transmettre.
qr-or-link = Le même lien en toutes lettres :
step-scan = Scannez le code QR avec l’appareil photo de l’appareil à enregistrer.
step-scan-open = Ouvrez le lien qui apparaît.
# Dans la partie en texte seul
link-title = Votre lien
link-private = Ce lien n’est destiné qu’à vous. Merci de ne pas le transmettre.
step-link = Sur l’appareil à enregistrer, ouvrez le lien ci-dessus.
