"""An OpenID Connect provider on port 8080 with the users of USERS, a JSON object of subject to claims."""

import json
import os

import oidc_provider_mock
from werkzeug.serving import make_server

users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in json.loads(os.environ["USERS"]).items()]
make_server("0.0.0.0", 8080, oidc_provider_mock.app(user_claims=users), threaded=True).serve_forever()
