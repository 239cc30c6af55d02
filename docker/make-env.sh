#!/bin/sh
# Writes .env beside docker-compose.yaml: .env.example with random secrets. One that is there is left as it is.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo ".env is there and stays as it is." >&2
    exit 0
fi

random() { # so many random bytes, in letters and digits that need no quoting anywhere
    head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'
}

umask 077
sed -e "s|^POSTGRES_PASSWORD=$|&$(random 24)|" -e "s|^S3_SECRET=$|&$(random 24)|" -e "s|^FERNET_KEY=$|&$(random 32)|" \
    -e "s|^JWT_SECRET=$|&$(random 66)|" -e "s|^API_SECRET_KEY=$|&$(random 33)|" -e "s|^ADMIN_PASSWORD=$|&$(random 12)|" \
    .env.example > .env
echo "Wrote .env. Log in as admin with $(sed -n 's/^ADMIN_PASSWORD=//p' .env)"
