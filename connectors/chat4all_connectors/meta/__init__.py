"""What WhatsApp, Messenger and Instagram have in common: the Graph API and its webhooks."""
