package dyndns2_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

const (
	basicChallenge  = `Basic realm="authenticate to update DNS"`
	bearerChallenge = `Bearer realm="authenticate to update DNS"`
)

// row is one line of the contract: a request, what it is answered, and what the
// host has then. In it H stands for the host's name.
type row struct {
	says   string
	zone   string // default example.org
	has    string // the host's addresses before, with commas
	method string // default GET
	path   string // with the query; default /nic/update
	form   string
	auth   string // default "Basic H:SECRET"; "none", "admin", or the header's value
	from   string // the client; default 198.51.100.7
	state  string // blocked or disabled
	cookie bool   // the console's
	agent  string // the user agent

	status    int // default 200
	want      string
	challenge string
	then      string // default: as before; "none"
}

const basic = "Basic "

var contract = []row{
	// Who is asking.
	{says: "no Authorization", auth: "none", path: "/nic/update?myip=192.0.2.1", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "one that cannot be parsed: no base64", auth: "Basic %%%", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "one that cannot be parsed: no colon", auth: basic + b64("h.example.org"), status: 401, want: "badauth", challenge: basicChallenge},
	{says: "one that cannot be parsed: scheme", auth: "Digest username=x", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Bearer refused", auth: "Bearer nonsense", path: "/nic/update?hostname=H", status: 401, want: "badauth", challenge: bearerChallenge},
	{says: "Bearer refused, before hostname is missed", auth: "Bearer nonsense", status: 401, want: "badauth", challenge: bearerChallenge},
	{says: "Bearer refused, before the name has no dot", auth: "Bearer nonsense", path: "/nic/update?hostname=h", status: 401, want: "badauth", challenge: bearerChallenge},
	{says: "Bearer without hostname", auth: "admin", want: "nohost"},
	{says: "hostname of a Bearer without a dot", auth: "admin", path: "/nic/update?hostname=h", want: "notfqdn"},
	{says: "hostname of a Bearer without a dot but the final one", auth: "admin", path: "/nic/update?hostname=h.", want: "notfqdn"},
	{says: "Bearer and unknown", auth: "admin", path: "/nic/update?hostname=none.example.org&myip=192.0.2.1", want: "nohost"},
	{says: "Bearer and unknown, before the address is looked at", auth: "admin", path: "/nic/update?hostname=none.example.org&myip=999", want: "nohost"},
	{says: "Bearer and no possible name", auth: "admin", path: "/nic/update?hostname=-.example.org&myip=192.0.2.1", want: "nohost"},
	{says: "Bearer and outside all zones", auth: "admin", path: "/nic/update?hostname=www.example.edu&myip=192.0.2.1", want: "nohost"},
	{says: "Bearer and not ours to change", has: "192.0.2.1", auth: "alice", path: "/nic/update?hostname=H&myip=192.0.2.2", want: "nohost"},
	{says: "a cookie is no credential", cookie: true, auth: "none", path: "/nic/update?hostname=H&myip=192.0.2.1", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Bearer with hostname", auth: "admin", path: "/nic/update?hostname=H&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "hostname=a,b: one reply line each, in order", auth: "admin", path: "/nic/update?hostname=none.example.org,H,b,www.example.edu,UPPER.&myip=192.0.2.1", want: "nohost\ngood 192.0.2.1\nnotfqdn\nnohost\ngood 192.0.2.1", then: "192.0.2.1"},
	{says: "hostname=a,b: no address", has: "192.0.2.1", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=999", want: "dnserr\nnohost"},
	{says: "hostname=a,b: an address that the zone does not allow", has: "192.0.2.1", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=127.0.0.1", want: "dnserr\nnohost"},
	{says: "hostname=a,b: nothing changes", has: "192.0.2.1", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=192.0.2.1", want: "nochg 192.0.2.1\nnohost"},
	{says: "hostname=a,b: one is switched off", has: "192.0.2.1", state: "disabled", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=192.0.2.2", want: "nohost\nnohost"},
	{says: "hostname=a,b: a prefix", has: "2001:db8:1::5", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=2001:db8:2::/64", want: "good 2001:db8:2::5\nnohost", then: "2001:db8:2::5"},
	{says: "hostname=a,b: preserve", has: "2001:db8:1::5", auth: "admin", path: "/nic/update?hostname=H,none.example.org&myip=preserve", want: "nochg 2001:db8:1::5\nnohost"},
	{says: "hostname=a,b: delete", has: "192.0.2.1", auth: "admin", path: "/nic/delete?hostname=H,none.example.org&myip=0.0.0.0", want: "deleted A\nnohost", then: "none"},
	{says: "hostname=a,b: Bearer refused", auth: "Bearer nonsense", path: "/nic/update?hostname=H,none.example.org&myip=192.0.2.1", status: 401, want: "badauth", challenge: bearerChallenge},
	{says: "hostname=a,b: user agent on the bad list", agent: "badclient/1.0", auth: "admin", path: "/nic/update?hostname=H,b&myip=192.0.2.1", want: "badagent\nnotfqdn"},
	{says: "hostname=a,b: more than 20: numhost", auth: "admin", path: "/nic/update?hostname=" + strings.Repeat("H,", 21) + "&myip=192.0.2.1", want: "numhost"},
	{says: "Basic user without a dot", auth: basic + b64("h:sph_x"), want: "notfqdn"},
	{says: "Basic: unknown host", auth: basic + b64("none.example.org:SECRET"), path: "/nic/update?myip=192.0.2.1", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Basic: wrong secret", auth: basic + b64("H:sph_0000000000000000000000000000"), path: "/nic/update?myip=192.0.2.1", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Basic: wrong secret, before hostname is looked at", auth: basic + b64("H:wrong"), path: "/nic/update?hostname=other.example.org", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Basic: wrong secret, before the address is looked at", auth: basic + b64("H:wrong"), path: "/nic/update?myip=999", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Basic: no possible name", auth: basic + b64("a b.example.org:SECRET"), status: 401, want: "badauth", challenge: basicChallenge},
	{says: "Basic with a token as password, any user name, is that token", auth: basic + b64("me:ADMIN"), path: "/nic/update?hostname=H&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "Basic with a token as password: the challenge is Basic's", auth: basic + b64("me:sp_admin_x"), path: "/nic/update?hostname=H&myip=192.0.2.1", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "hostname is not the Basic user", path: "/nic/update?hostname=other.example.org&myip=192.0.2.1", want: "nohost"},
	{says: "hostname is not the Basic user, no dot", path: "/nic/update?hostname=other&myip=192.0.2.1", want: "notfqdn"},
	{says: "hostname is not the Basic user, before the address is looked at", path: "/nic/update?hostname=other.example.org&myip=999", want: "nohost"},
	{says: "a host's secret where there are endpoints and no main", state: "endpoints", path: "/nic/update?myip=192.0.2.1", want: "nohost"},
	{says: "a host's secret where there are endpoints and main", has: "192.0.2.9", state: "endpoints", path: "/nic/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "hostname cannot be read", path: "/nic/update?hostname=%zz&myip=192.0.2.1", want: "nohost"},

	// Names.
	{says: "a name is compared without case", path: "/nic/update?hostname=UPPER&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "a name is compared with a final dot", path: "/nic/update?hostname=H.&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "the user is compared without case, with a final dot", auth: basic + b64("UPPER.:SECRET"), path: "/nic/update?hostname=H&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "hostname is optional with Basic", path: "/nic/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "an empty hostname is none", path: "/nic/update?hostname=&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "with a host secret every other name in a list gets nohost and the rest is done", path: "/nic/update?hostname=a.example.org,H,b&myip=192.0.2.1", want: "nohost\ngood 192.0.2.1\nnotfqdn", then: "192.0.2.1"},
	{says: "more than 20: numhost", path: "/nic/update?hostname=" + strings.Repeat("H,", 21) + "&myip=192.0.2.1", want: "numhost"},

	// What is answered.
	{says: "changed", has: "192.0.2.1", path: "/nic/update?hostname=H&myip=192.0.2.2", want: "good 192.0.2.2", then: "192.0.2.2"},
	{says: "nothing changes", has: "192.0.2.1", path: "/nic/update?hostname=H&myip=192.0.2.1", want: "nochg 192.0.2.1"},
	{says: "myip missing: the caller's address", want: "good 198.51.100.7", then: "198.51.100.7"},
	{says: "myip empty: the caller's address", path: "/nic/update?hostname=H&myip=", want: "good 198.51.100.7", then: "198.51.100.7"},
	{says: "the caller's address over IPv6", has: "192.0.2.1", from: "2001:db8::7", want: "good 2001:db8::7", then: "192.0.2.1,2001:db8::7"},
	{says: "the caller's address, v4-mapped", from: "::ffff:198.51.100.9", want: "good 198.51.100.9", then: "198.51.100.9"},
	{says: "the caller's address is not allowed in the zone", from: "127.0.0.1", want: "dnserr"},
	{says: "the caller's address is allowed in the zone", zone: "local.example.net", from: "127.0.0.1", want: "good 127.0.0.1", then: "127.0.0.1"},
	{says: "address cannot be parsed", has: "192.0.2.1", path: "/nic/update?myip=999", want: "dnserr"},
	{says: "address cannot be parsed: leading zeros", path: "/nic/update?myip=010.0.0.1", want: "dnserr"},
	{says: "address cannot be parsed: escapes", path: "/nic/update?myip=192.0.2.1%zz", want: "dnserr"},
	{says: "address cannot be parsed: one of two", path: "/nic/update?myip=192.0.2.1,x", want: "dnserr"},
	{says: "address with a zone", zone: "local.example.net", path: "/nic/update?myip=fe80::1%25eth0", want: "dnserr"},
	{says: "unspecified", path: "/nic/update?myip=0.0.0.0", want: "dnserr"},
	{says: "unspecified v6", path: "/nic/update?myip=::", want: "dnserr"},
	{says: "unspecified v6 as a prefix", has: "2001:db8::1", path: "/nic/update?myip=::/64", want: "dnserr"},
	{says: "multicast", path: "/nic/update?myip=224.0.0.1", want: "dnserr"},
	{says: "loopback", path: "/nic/update?myip=127.0.0.1", want: "dnserr"},
	{says: "link-local", path: "/nic/update?myip=fe80::1", want: "dnserr"},
	{says: "link-local, the zone allows it", zone: "local.example.net", path: "/nic/update?myip=fe80::1", want: "good fe80::1", then: "fe80::1"},
	{says: "private ones are accepted", path: "/nic/update?myip=10.0.0.5", want: "good 10.0.0.5", then: "10.0.0.5"},
	{says: "private ones are accepted: IPv6", path: "/nic/update?myip=fd00::5", want: "good fd00::5", then: "fd00::5"},
	{says: "private, the zone forbids them", zone: "public.example.com", path: "/nic/update?myip=10.0.0.5", want: "dnserr"},
	{says: "private, the zone forbids them: the caller's address", zone: "public.example.com", from: "192.168.1.9", want: "dnserr"},
	{says: "private, the zone forbids them: one of two", zone: "public.example.com", path: "/nic/update?myip=192.0.2.1,fd00::5", want: "dnserr"},
	{says: "public, where the zone forbids private ones", zone: "public.example.com", path: "/nic/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},

	// Who is barred by the configuration.
	{says: "host on the operator's bad list, without Authorization", auth: "none", path: "/nic/update?hostname=barred-1.example.org", status: 403, want: "abuse"},
	{says: "host on the operator's bad list, as the user", auth: basic + b64("barred-1.example.org:x"), status: 403, want: "abuse"},
	{says: "host on the operator's bad list, below a name on it", auth: "admin", path: "/nic/update?hostname=x.BARRED-1.example.org.", status: 403, want: "abuse"},
	{says: "address on the operator's bad list, without Authorization", auth: "none", from: "203.0.113.7", status: 403, want: "abuse"},
	{says: "address on the operator's bad list", from: "203.0.113.7", status: 403, want: "abuse"},
	{says: "user on the operator's bad list", auth: "Bearer " + eve, path: "/nic/update?hostname=H&myip=192.0.2.1", status: 403, want: "abuse"},
	{says: "user agent on the bad list", agent: "x BadClient/1.2", want: "badagent"},
	{says: "user agent on the bad list, after the secret is looked at", agent: "badclient/1.0", auth: basic + b64("H:wrong"), status: 401, want: "badauth", challenge: basicChallenge},
	{says: "user agent on the bad list, after the name is looked at", agent: "badclient/1.0", path: "/nic/update?hostname=other.example.org", want: "nohost"},
	{says: "user agent on the bad list, before the host is", agent: "badclient/1.0", state: "blocked", want: "badagent"},
	{says: "user agent on the bad list, before the address is looked at", agent: "badclient/1.0", path: "/nic/update?myip=999", want: "badagent"},

	// Hosts that are withdrawn.
	{says: "host blocked for abuse", has: "192.0.2.1", state: "blocked", path: "/nic/update?myip=192.0.2.2", want: "abuse"},
	{says: "host blocked for abuse, and nothing would change", has: "192.0.2.1", state: "blocked", path: "/nic/update?myip=192.0.2.1", want: "abuse"},
	{says: "host blocked for abuse, before the address is looked at", has: "192.0.2.1", state: "blocked", path: "/nic/update?myip=999", want: "abuse"},
	{says: "host blocked for abuse, in a list", state: "blocked", path: "/nic/update?hostname=H,x.example.org&myip=192.0.2.1", want: "abuse\nnohost"},
	{says: "host blocked for abuse, after the secret is looked at", state: "blocked", auth: basic + b64("H:wrong"), status: 401, want: "badauth", challenge: basicChallenge},
	{says: "host switched off", has: "192.0.2.1", state: "disabled", path: "/nic/update?myip=192.0.2.2", want: "nohost"},
	{says: "host switched off, before the address is looked at", has: "192.0.2.1", state: "disabled", path: "/nic/update?myip=999", want: "nohost"},
	{says: "host switched off, for a Bearer", has: "192.0.2.1", state: "disabled", auth: "admin", path: "/nic/update?hostname=H&myip=192.0.2.2", want: "nohost"},

	// Families.
	{says: "a family that is not mentioned is left alone", has: "192.0.2.1,2001:db8::1", path: "/nic/update?myip=2001:db8::2", want: "good 2001:db8::2", then: "192.0.2.1,2001:db8::2"},
	{says: "myip=v4,v6: v4 first", path: "/nic/update?myip=2001:db8::2,192.0.2.2", want: "good 192.0.2.2,2001:db8::2", then: "192.0.2.2,2001:db8::2"},
	{says: "nochg with both", has: "192.0.2.2,2001:db8::2", path: "/nic/update?myip=192.0.2.2,2001:db8::2", want: "nochg 192.0.2.2,2001:db8::2"},
	{says: "an empty place in a list is nothing", has: "2001:db8::2", path: "/nic/update?myip=192.0.2.2,", want: "good 192.0.2.2", then: "192.0.2.2,2001:db8::2"},
	{says: "myipv6=", path: "/nic/update?myip=192.0.2.2&myipv6=2001:db8::2", want: "good 192.0.2.2,2001:db8::2", then: "192.0.2.2,2001:db8::2"},
	{says: "ipv6=", path: "/nic/update?myip=192.0.2.2&ipv6=2001:db8::2", want: "good 192.0.2.2,2001:db8::2", then: "192.0.2.2,2001:db8::2"},
	{says: "myipv6= alone leaves A alone", has: "192.0.2.1", path: "/nic/update?myipv6=2001:db8::2", want: "good 2001:db8::2", then: "192.0.2.1,2001:db8::2"},
	{says: "only an empty myip counts as none", has: "192.0.2.1", path: "/nic/update?myip=&myipv6=2001:db8::2", want: "good 2001:db8::2", then: "192.0.2.1,2001:db8::2"},
	{says: "myipv6 is no IPv4", path: "/nic/update?myipv6=192.0.2.1", want: "dnserr"},
	{says: "an empty myipv6= removes AAAA", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myip=192.0.2.1&myipv6=", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "an empty myipv6= alone removes AAAA", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myipv6=", want: "good ::", then: "192.0.2.1"},
	{says: "an empty myipv6= again", has: "192.0.2.1", path: "/nic/update?myipv6=", want: "nochg ::"},
	{says: "an empty myipv4= removes A", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myipv4=", want: "good 0.0.0.0", then: "2001:db8::2"},
	{says: "preserve", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myip=192.0.2.5&myipv6=preserve", want: "good 192.0.2.5", then: "192.0.2.5,2001:db8::2"},
	{says: "preserve in myip", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myip=preserve&myipv6=2001:db8::3", want: "good 2001:db8::3", then: "192.0.2.1,2001:db8::3"},
	{says: "preserve everything", has: "192.0.2.1,2001:db8::2", path: "/nic/update?myip=preserve", want: "nochg 192.0.2.1,2001:db8::2"},
	{says: "preserve nothing", path: "/nic/update?myip=preserve", want: "nochg 0.0.0.0"},

	// /nic/delete.
	{says: "delete: myip=0.0.0.0 removes A", has: "192.0.2.1,2001:db8::1", path: "/nic/delete?hostname=H&myip=0.0.0.0", want: "deleted A", then: "2001:db8::1"},
	{says: "delete: :: removes AAAA", has: "192.0.2.1,2001:db8::1", path: "/nic/delete?myip=::", want: "deleted AAAA", then: "192.0.2.1"},
	{says: "delete: a list removes both", has: "192.0.2.1,2001:db8::1", path: "/nic/delete?myip=::,0.0.0.0", want: "deleted A,AAAA", then: "none"},
	{says: "delete: whatever the address", has: "192.0.2.1,2001:db8::1", path: "/nic/delete?myip=203.0.113.9", want: "deleted A", then: "2001:db8::1"},
	{says: "delete: again and again", has: "2001:db8::1", path: "/nic/delete?myip=0.0.0.0", want: "deleted A"},
	{says: "delete: myip missing: the caller's family", has: "192.0.2.1,2001:db8::1", path: "/nic/delete", want: "deleted A", then: "2001:db8::1"},
	{says: "delete: myip empty: the caller's family", has: "192.0.2.1,2001:db8::1", from: "2001:db8::7", path: "/nic/delete?myip=", want: "deleted AAAA", then: "192.0.2.1"},
	{says: "delete: a prefix is of its family", has: "192.0.2.1,2001:db8::1", path: "/nic/delete?myip=2001:db8::/64", want: "deleted AAAA", then: "192.0.2.1"},
	{says: "delete: with a slash", has: "192.0.2.1", path: "/nic/delete/?myip=0.0.0.0", want: "deleted A", then: "none"},
	{says: "delete: Bearer", has: "192.0.2.1", auth: "admin", path: "/nic/delete?hostname=H&myip=0.0.0.0", want: "deleted A", then: "none"},
	{says: "delete: Bearer without hostname", has: "192.0.2.1", auth: "admin", path: "/nic/delete?myip=0.0.0.0", want: "nohost"},
	{says: "delete: no Authorization", has: "192.0.2.1", auth: "none", path: "/nic/delete?myip=0.0.0.0", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "delete: wrong secret", has: "192.0.2.1", auth: basic + b64("H:wrong"), path: "/nic/delete?myip=0.0.0.0", status: 401, want: "badauth", challenge: basicChallenge},
	{says: "delete: hostname is not the Basic user", has: "192.0.2.1", path: "/nic/delete?hostname=other.example.org&myip=0.0.0.0", want: "nohost"},
	{says: "delete: address cannot be parsed", has: "192.0.2.1", path: "/nic/delete?myip=999", want: "dnserr"},
	{says: "delete: no family is meant", has: "192.0.2.1", path: "/nic/delete?myip=preserve", want: "dnserr"},
	{says: "delete: host blocked for abuse", has: "192.0.2.1", state: "blocked", path: "/nic/delete?myip=0.0.0.0", want: "abuse"},
	{says: "delete: host switched off", has: "192.0.2.1", state: "disabled", path: "/nic/delete?myip=0.0.0.0", want: "nohost"},
	{says: "delete: HEAD changes nothing", has: "192.0.2.1", method: "HEAD", path: "/nic/delete?myip=0.0.0.0", status: 405},

	// ADDR/LEN.
	{says: "10.0.0.5/24 is 10.0.0.5", path: "/nic/update?myip=10.0.0.5/24", want: "good 10.0.0.5", then: "10.0.0.5"},
	{says: "10.0.0.0/24 is 10.0.0.0", path: "/nic/update?myip=10.0.0.0/24", want: "good 10.0.0.0", then: "10.0.0.0"},
	{says: "IPv6 with host bits zero: only the prefix changes", has: "2001:db8:1::5", path: "/nic/update?myip=2001:db8:2::/64", want: "good 2001:db8:2::5", then: "2001:db8:2::5"},
	{says: "renumbering all AAAA, not on an octet", has: "192.0.2.1,2001:db8:1::5,2001:db8:1::6", path: "/nic/update?ipv6=2001:db8:8000::/33", want: "good 2001:db8:8001::5,2001:db8:8001::6", then: "192.0.2.1,2001:db8:8001::5,2001:db8:8001::6"},
	{says: "renumbering to the same", has: "2001:db8:1::5", path: "/nic/update?myip=2001:db8:1::/64", want: "nochg 2001:db8:1::5"},
	{says: "the host has no AAAA: the length is dropped", has: "192.0.2.1", path: "/nic/update?myip=2001:db8:2::/64", want: "good 2001:db8:2::", then: "192.0.2.1,2001:db8:2::"},
	{says: "host bits not zero: the length is dropped", has: "2001:db8:1::5", path: "/nic/update?myip=2001:db8:2::7/64", want: "good 2001:db8:2::7", then: "2001:db8:2::7"},
	{says: "a length that is none", path: "/nic/update?myip=10.0.0.5/33", want: "dnserr"},

	// Ways of asking.
	{says: "a trailing slash", path: "/nic/update/?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "/v3/update", path: "/v3/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "/update", path: "/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "/v3/update/ and /update/", path: "/update/?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "POST with a form", method: "POST", form: "hostname=H&myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "POST with a query", method: "POST", path: "/nic/update?myip=192.0.2.1", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "POST of too much", method: "POST", form: "myip=" + strings.Repeat("1", 1<<17), status: 413, want: "dnserr"},
	{says: "HEAD changes nothing", method: "HEAD", path: "/nic/update?myip=192.0.2.1", status: 405},
	{says: "PUT changes nothing", method: "PUT", path: "/nic/update?myip=192.0.2.1", status: 405, want: "use GET, POST"},
	{says: "wildcard, mx, backmx, offline, system are ignored", path: "/nic/update?system=dyndns&hostname=H&myip=192.0.2.1&wildcard=ON&mx=m.example.org&backmx=YES&offline=NO", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "nothing else is here", path: "/nic/nothing", status: 404, want: "there is nothing here; did you mean /nic/update?"},

	// Clients as they are.
	{says: "cloud-init: curl https://FQDN:SECRET@SERVICE/nic/update, again", has: "198.51.100.7", want: "nochg 198.51.100.7"},
	{says: "ddclient: an empty myip", path: "/nic/update?system=dyndns&hostname=H&myip=", want: "good 198.51.100.7", then: "198.51.100.7"},
	{says: "ddclient: several hosts", path: "/nic/update?system=dyndns&hostname=H,x.example.org&myip=192.0.2.1", want: "good 192.0.2.1\nnohost", then: "192.0.2.1"},
	{says: "inadyn: IPv6 percent-encoded", path: "/nic/update?hostname=H&myip=2001%3Adb8%3A%3A33", want: "good 2001:db8::33", then: "2001:db8::33"},
	{says: "Fritz!Box: no IPv6 today", has: "2001:db8::1", path: "/nic/update?hostname=H&myip=192.0.2.1&myipv6=", want: "good 192.0.2.1", then: "192.0.2.1"},
	{says: "Fritz!Box: <ip6lanprefix>", has: "192.0.2.1,2001:db8:1::aaaa", path: "/nic/update?hostname=H&myip=192.0.2.9&myipv6=2001:db8:7::/64", want: "good 192.0.2.9,2001:db8:7::aaaa", then: "192.0.2.9,2001:db8:7::aaaa"},
	{says: "pfSense: matches good %IP%", path: "/nic/update?hostname=H&myip=192.0.2.44", want: "good 192.0.2.44", then: "192.0.2.44"},
}

// b64 marks what is to be encoded once H, SECRET and ADMIN in it are known.
func b64(s string) string { return "<" + s + ">" }

func TestContract(t *testing.T) {
	barred, err := controlapi.ParseBarred([]string{"barred-*.example.org"}, []string{"egi/eve"}, []string{"BadClient/1."}, []string{"203.0.113.0/24"})
	check(t, err)
	w := worldWithout(t, barred)
	for _, r := range contract {
		t.Run(r.says, func(t *testing.T) { r.run(t, w) })
	}
}

func (r row) run(t *testing.T, w *world) {
	zone := r.zone
	if zone == "" {
		zone = "example.org"
	}
	before := split(r.has)
	fqdn, secret := w.host(t, zone, before...)
	switch r.state {
	case "blocked":
		_, err := w.service.BlockHost(w.asAdmin(t.Context()), &pb.BlockHostRequest{Fqdn: fqdn, Reason: "phishing"})
		check(t, err)
	case "endpoints":
		_, err := w.service.SetEndpoint(w.asAdmin(t.Context()), &pb.SetEndpointRequest{Fqdn: fqdn, Id: "a", Addresses: []string{"192.0.2.77"}})
		check(t, err)
	case "disabled":
		_, err := w.service.DisableHost(w.asAdmin(t.Context()), &pb.DisableHostRequest{Fqdn: fqdn})
		check(t, err)
	}
	fill := strings.NewReplacer("UPPER", strings.ToUpper(fqdn), "H", fqdn, "SECRET", secret, "ADMIN", w.admin).Replace

	path := r.path
	if path == "" {
		path = "/nic/update"
	}
	if at, query, ok := strings.Cut(path, "?"); ok {
		path = at + "?" + fill(query)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, w.url+"/", strings.NewReader(fill(r.form)))
	check(t, err)
	at, query, _ := strings.Cut(path, "?")
	req.URL.Path, req.URL.RawQuery = at, query // as it stands: also with broken escapes
	if r.form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch r.auth {
	case "none":
	case "":
		req.SetBasicAuth(fqdn, secret)
	case "admin":
		req.Header.Set("Authorization", "Bearer "+w.admin)
	case "alice":
		req.Header.Set("Authorization", "Bearer "+alice)
	default:
		scheme, rest, _ := strings.Cut(r.auth, " ")
		if inner := strings.Trim(rest, "<>"); inner != rest {
			rest = base64.StdEncoding.EncodeToString([]byte(fill(inner)))
		}
		req.Header.Set("Authorization", scheme+" "+rest)
	}
	from := r.from
	if from == "" {
		from = "198.51.100.7"
	}
	req.Header.Set("X-Forwarded-For", from)
	if r.cookie {
		req.AddCookie(&http.Cookie{Name: "session", Value: w.admin})
	}
	if r.agent != "" {
		req.Header.Set("User-Agent", r.agent)
	}

	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, errors.Join(err, resp.Body.Close()))
	status := r.status
	if status == 0 {
		status = http.StatusOK
	}
	if resp.StatusCode != status || string(body) != r.want {
		t.Errorf("%s: %d %q, want %d %q", path, resp.StatusCode, body, status, r.want)
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != r.challenge {
		t.Errorf("challenge %q, want %q", got, r.challenge)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("it is %q, want text/plain", got)
	}
	then := before
	if r.then != "" {
		then = split(strings.TrimPrefix(r.then, "none"))
	}
	if diff := cmp.Diff(then, w.addresses(t, fqdn)); diff != "" {
		t.Errorf("the host has (-want +got):\n%s", diff)
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
