"""Makes the Samba domain that tests/support/samba.rs starts: provision_samba.py DIRECTORY ADDRESS.

Run by Debian's own Python, which has Samba's modules, as root. Takes about 15 seconds; the result
is kept under the hash of this file, so that any change here makes a new domain.
"""

import subprocess
import sys
import time

import ldb

from samba.auth import system_session
from samba.credentials import Credentials
from samba.dsdb import UF_ACCOUNTDISABLE, UF_NORMAL_ACCOUNT
from samba.param import LoadParm
from samba.samdb import SamDB

DIRECTORY, ADDRESS = sys.argv[1:]
ADMINISTRATOR_PASSWORD = "Adm1n-Passw0rd!"
DOMAIN_DN = "DC=example,DC=test"

PEOPLE = (
    # Ordinary people; zoë and the last one have names that want escaping.
    "alice", "bob", "carol", "dave", "norole", "svc", "zoë", "pat.o'brien",
    # Each of these is refused for a reason of its own.
    "disabled", "mustchange", "expired", "locked", "accountexpired",
)
GROUPS = {
    "aws-111111111111-admin": ["alice", "team-mid"],
    "aws-111111111111-readonly": ["alice", "bob"],
    # carol reaches the group above by three steps.
    "team-leaf": ["carol"],
    "team-mid": ["team-leaf"],
    # A cycle.
    "loop-a": ["loop-b", "dave"],
    "loop-b": ["loop-a"],
    # Its name wants escaping in a DN (the comma) and in a filter (the rest).
    "comma, inc (x)": ["alice"],
}


def provision():
    subprocess.run(
        [
            "samba-tool", "domain", "provision", f"--targetdir={DIRECTORY}",
            "--realm=EXAMPLE.TEST", "--domain=EXAMPLE", "--server-role=dc",
            "--dns-backend=NONE", "--use-rfc2307", f"--adminpass={ADMINISTRATOR_PASSWORD}",
            "--host-name=dc1", f"--host-ip={ADDRESS}",
            f"--option=interfaces={ADDRESS}/8", "--option=bind interfaces only=yes",
        ],
        check=True,
        capture_output=True,
    )


def open_directory():
    parameters = LoadParm()
    parameters.load(f"{DIRECTORY}/etc/smb.conf")
    credentials = Credentials()
    credentials.guess(parameters)
    return SamDB(
        url=f"{DIRECTORY}/private/sam.ldb",
        session_info=system_session(),
        credentials=credentials,
        lp=parameters,
    )


def replace(directory, dn, attribute, value, controls=()):
    directory.modify_ldif(
        f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n",
        controls=list(controls),
    )


def windows_time(days_from_now):
    """100 ns units since 1601."""
    return int((time.time() + days_from_now * 86_400 + 11_644_473_600) * 10_000_000)


def set_password_rules(directory):
    days = -86_400 * 10_000_000
    replace(directory, DOMAIN_DN, "pwdProperties", 0)
    replace(directory, DOMAIN_DN, "minPwdLength", 4)
    replace(directory, DOMAIN_DN, "pwdHistoryLength", 0)
    replace(directory, DOMAIN_DN, "minPwdAge", 0)
    replace(directory, DOMAIN_DN, "maxPwdAge", 42 * days)
    # The directory is shared by tests: a wrong password here must not lock anybody there.
    replace(directory, DOMAIN_DN, "lockoutThreshold", 0)
    # Locked until an administrator unlocks: the state does not wear off in a kept directory.
    replace(directory, DOMAIN_DN, "lockoutDuration", -(2**63))


def add_people(directory):
    for name in PEOPLE:
        mail = f"{name}@example.test" if name.isascii() else None
        directory.newuser(name, f"{name}-pw", mailaddress=mail)


def add_groups(directory):
    for name in GROUPS:
        # A common name may hold a comma, an account name may not.
        account_name = name.replace(",", "")
        directory.add({"dn": group_dn(directory, name), "objectClass": "group",
                       "sAMAccountName": account_name})
    for name, members in GROUPS.items():
        message = ldb.Message(group_dn(directory, name))
        message["member"] = ldb.MessageElement(
            [str(group_dn(directory, member) if member in GROUPS else person_dn(directory, member))
             for member in members],
            ldb.FLAG_MOD_ADD, "member",
        )
        directory.modify(message)


def group_dn(directory, name):
    dn = ldb.Dn(directory, f"CN=placeholder,CN=Users,{DOMAIN_DN}")
    dn.set_component(0, "CN", name)
    return dn


def person_dn(directory, name):
    return directory.search(base=DOMAIN_DN, expression=f"(sAMAccountName={name})", attrs=[])[0].dn


def refuse_some(directory):
    def write(name, attribute, value, controls=()):
        replace(directory, person_dn(directory, name), attribute, value, controls)

    write("disabled", "userAccountControl", UF_NORMAL_ACCOUNT | UF_ACCOUNTDISABLE)
    write("mustchange", "pwdLastSet", 0)
    write("accountexpired", "accountExpires", windows_time(-2))
    # Only a caller who says that it knows better may write these.
    bypass = ["local_oid:1.3.6.1.4.1.7165.4.3.20:0"]
    write("expired", "pwdLastSet", windows_time(-100), bypass)
    write("locked", "lockoutTime", windows_time(0), bypass)


provision()
DIRECTORY_SERVER = open_directory()
set_password_rules(DIRECTORY_SERVER)
add_people(DIRECTORY_SERVER)
add_groups(DIRECTORY_SERVER)
refuse_some(DIRECTORY_SERVER)
