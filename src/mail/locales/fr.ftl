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

# Tous les rappels d’une invitation
reminder-subject = Rappel : { $org } vous invite à enregistrer votre appareil
reminder-title = Votre appareil n’est pas encore enregistré
reminder-intro = Votre appareil reste à enregistrer chez { $org }, afin de le configurer et d’en assurer le suivi pour vous. Cela ne prend que quelques minutes. Utilisez ce message : ce que dit un message plus ancien n’est peut-être plus valable.
reminder-why = Vous recevez ce rappel parce qu’un administrateur chez { $org } a invité l’utilisateur { $username } à enregistrer un appareil. Il n’y en aura plus une fois votre appareil enregistré.

# Après un enregistrement
confirmation-subject = Votre appareil est enregistré chez { $org }
confirmation-preheader = Enregistré le { $at }
confirmation-title = Votre appareil est enregistré
confirmation-intro = Un appareil a été enregistré chez { $org } pour l’utilisateur { $username }. Il ne vous reste rien à faire.
confirmation-device = Appareil
confirmation-number = Numéro de série ou identifiant
confirmation-when = Enregistré le
confirmation-owner = Propriétaire
confirmation-line = { $name } : { $value }
confirmation-user-owned = Vous : c’est votre propre appareil
confirmation-company-owned = { $org }
confirmation-not-you-title = Ce n’était pas vous ?
confirmation-not-you-support = Quelqu’un d’autre a donc enregistré un appareil en votre nom. Signalez-le sans attendre à { $support }.
confirmation-not-you = Quelqu’un d’autre a donc enregistré un appareil en votre nom. Signalez-le sans attendre à votre administrateur chez { $org }.
confirmation-why = Vous recevez ce message parce que { $org } confirme chaque enregistrement. Il n’appelle pas de réponse.

# Un essai du serveur de messagerie
test-subject = Message d’essai d’Enlist ({ $org })
test-title = Ceci est un essai
test-text = Enlist, qui envoie les invitations de { $org }, peut envoyer des messages à cette adresse. Il n’y a rien à faire.

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
qr-alt-set-up = Code QR qui configure votre appareil. Il ne s’affiche pas ? Le lien ci-dessous y mène.
qr-or-page = Le code sur une page à part, pour un autre écran :
step-scan = Scannez le code QR avec l’appareil photo de l’appareil à enregistrer.
step-scan-open = Ouvrez le lien qui apparaît.
# Dans la partie en texte seul
link-title = Votre lien
link-private = Ce lien n’est destiné qu’à vous. Merci de ne pas le transmettre.
step-link-set-up = Sur un autre écran, ouvrez le lien ci-dessus : il affiche un code QR.
step-link = Sur l’appareil à enregistrer, ouvrez le lien ci-dessus.

# La page d’accueil
page-lead-phone = { $org } vous invite à enregistrer cet appareil, afin de le configurer et d’en assurer le suivi pour vous. Cela ne prend que quelques minutes.
page-lead-other = { $org } vous invite à enregistrer un appareil. Utilisez le téléphone, la tablette ou l’ordinateur à enregistrer.
page-lead-apple = { $org } vous invite à enregistrer un iPhone, un iPad ou un Mac.
page-lead-setup = { $org } vous invite à configurer un appareil Android : neuf, ou réinitialisé aux réglages d’usine. Ce code s’en charge.
page-lead-general = C’est ici que vous enregistrez un appareil chez { $org }. Gardez le message d’invitation à portée de main.
page-person = Pour { $name } ({ $username })
page-person-one = Pour { $name }
page-until = Valable jusqu’au { $until }
page-private = Cette page n’est destinée qu’à vous. Merci de ne pas en transmettre le lien.
page-button = Continuer
page-here = Est-ce l’appareil à enregistrer ?
page-qr-alt = Code QR pour enregistrer votre appareil
page-step-tap = Touchez le bouton ci-dessus.
page-step-here = Ouvrez cette page sur l’appareil à enregistrer : scannez le code avec son appareil photo.
page-step-open = Ouvrez l’application ou la page avec laquelle { $org } enregistre les appareils. Si vous ne la connaissez pas, demandez à votre administrateur.
page-step-pin = Lorsqu’ils vous sont demandés, saisissez votre nom d’utilisateur { $username } et le code PIN de votre message.
page-step-password = Lorsqu’ils vous sont demandés, saisissez votre nom d’utilisateur { $username } et votre propre mot de passe.
page-step-pin-and-password = Lorsqu’ils vous sont demandés, saisissez votre nom d’utilisateur { $username }, votre propre mot de passe et le code PIN de votre message.
page-step-code = Lorsqu’un code vous est demandé, scannez le code QR de votre message.
page-step-any = Lorsqu’ils vous sont demandés, saisissez votre nom d’utilisateur et le code PIN ou le mot de passe dont parle votre message.
step-apple-allow = S’il vous est demandé de télécharger un profil de configuration, autorisez-le.
step-apple-settings = Ouvrez les Réglages. En haut figure « Profil téléchargé » ou « S’inscrire » : ouvrez-le.
step-apple-install = Choisissez « Installer » et suivez les étapes à l’écran.
page-step-android-app = Si une application vous est proposée, installez-la et ouvrez-la.
page-step-android-follow = Suivez les étapes à l’écran et restez connecté jusqu’à la fin.
step-setup-start = Allumez l’appareil. S’il a déjà servi, réinitialisez-le d’abord aux réglages d’usine.
step-setup-tap = Touchez six fois le même endroit du premier écran, jusqu’à ce qu’un lecteur de codes s’ouvre.
step-setup-scan = Scannez ce code. Si un réseau vous est demandé, choisissez votre Wi-Fi.
page-setup-other = Pour configurer l’appareil sur lequel vous lisez ceci, ouvrez cette page sur un autre écran : le code doit être scanné.
page-general-code = Votre message contient un code QR ? Scannez-le plutôt avec l’appareil photo de votre appareil : il vous mène plus loin.
page-general-none = Pas de message ? Regardez dans vos courriers indésirables, ou demandez une invitation à votre administrateur.

# La page d’accueil, quand une invitation a pris fin
page-expired = Cette invitation a expiré
page-expired-why = Elle était valable jusqu’au { $until }.
page-pin-expired = Votre code PIN a expiré
page-pin-expired-why = Il était valable jusqu’au { $until }. Votre invitation reste ouverte : il ne vous faut qu’un nouveau code PIN.
page-pin-request = Là où le code PIN vous est demandé, vous pouvez peut-être vous en faire envoyer un nouveau.
page-completed = Cette invitation a déjà servi
page-completed-why = Un appareil a été enregistré avec elle. Si c’était vous, tout est fait : vous pouvez fermer cette page.
page-completed-more = Un autre appareil à enregistrer ? Demandez une autre invitation à votre administrateur.
page-completed-other = Ce n’était pas vous ? Prévenez tout de suite votre administrateur.
page-revoked = Cette invitation a été retirée
page-revoked-why = Elle ne permet plus d’enregistrer un appareil.
page-superseded = Il y a une invitation plus récente
page-superseded-why = Un autre message vous a été envoyé depuis. Utilisez le plus récent de votre boîte : celui-ci n’est plus valable.
page-ask-new = Si vous souhaitez toujours enregistrer un appareil, demandez une nouvelle invitation à votre administrateur.
page-ask-again = Vous ne le trouvez pas ? Votre administrateur peut vous le renvoyer.
page-ask-pin = Votre administrateur peut vous en envoyer un nouveau.
page-later = Cette page n’est pas disponible pour le moment
page-later-why = C’est notre faute, et cela passera. Réessayez dans quelques minutes : votre invitation n’est pas perdue.
page-unknown = Ce lien ne fonctionne pas
page-unknown-why = Il a peut-être été coupé ou modifié en chemin.
page-unknown-again = Ouvrez une nouvelle fois le lien de votre message, ou copiez-le en entier. S’il y a un code QR, scannez-le.
