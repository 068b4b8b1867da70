package egi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	pb "signpost/proto/signpost/v1"
)

// row is one line of the contract: a request, and what it is answered. In it TIME stands
// for a time and SECRET for a secret.
type row struct {
	says   string
	method string // default GET
	path   string
	auth   string // a name of people, or the header's value
	agent  string
	cookie bool // the console's

	status    int // default 200
	want      string
	challenge string
	text      bool // it is text, not JSON
}

const (
	bearer = `Bearer realm="authenticate to update DNS"`
	basic  = `Basic realm="authenticate to update DNS"`

	badauth  = `{"status":"error","message":"badauth"}`
	abuse    = `{"status":"error","message":"abuse"}`
	nxdomain = `{"status":"error","message":"nxdomain"}`
	badName  = `{"status":"error","message":"formerr","errors":{"name":["Invalid host name: only \"a-z\", \"0-9\" and \"-\" is allowed"]}}`
	noDot    = `{"status":"error","message":"formerr","errors":{"name":["This is not a fully qualified domain name"]}}`
	taken    = `{"status":"error","message":"formerr","errors":{"__all__":["Host with this Name and Domain already exists."]}}`
	reserved = `{"status":"error","message":"formerr","errors":{"name":["This name is blacklisted"]}}`
	inDNS    = `{"status":"error","message":"Host already exists in DNS."}`
	unread   = `{"status":"error","message":"formerr","errors":{"__all__":["The query cannot be read"]}}`
	noHost   = `{"status":"error","message":"Host does not exist"}`
)

// made is what registration answers: a host with this name, domain, flags and address.
func made(name, domain, wildcard, comment, v4, v6 string) string {
	updated := func(a string) string {
		if a == "null" {
			return "null"
		}
		return `"TIME"`
	}
	tls := func(a string) string { return map[bool]string{true: "false", false: "true"}[a == "null"] }
	return `{"status":"ok","message":"Host registered.","host":{"fqdn":"` + name + "." + domain + `","name":"` + name + `","domain":"` + domain + `","wildcard":` + wildcard + `,"comment":"` + comment +
		`","available":true,"client_faults":0,"server_faults":0,"abuse_blocked":false,"abuse":false,"last_update_ipv4":` + updated(v4) + `,"tls_update_ipv4":` + tls(v4) + `,"ipv4":` + v4 +
		`,"last_update_ipv6":` + updated(v6) + `,"tls_update_ipv6":` + tls(v6) + `,"ipv6":` + v6 + `,"update_secret":"SECRET","IPv4_update_url_basic_auth":"https://` + name + "." + domain +
		`:SECRET@dns.example.com/nic/update","IPv4_update_url_bearer_auth":"https://dns.example.com/nic/update?hostname=` + name + "." + domain + `&myip=${myip}"}}`
}

const mine = `{"fqdn":"mine.example.org","name":"mine","domain":"example.org","wildcard":false,"comment":"","available":true,"client_faults":0,"server_faults":0,"abuse_blocked":false,"abuse":false,` +
	`"last_update_ipv4":"TIME","tls_update_ipv4":true,"ipv4":"192.0.2.1","last_update_ipv6":"TIME","tls_update_ipv6":true,"ipv6":"2001:db8::1"}`

var contract = []row{
	// Credentials of all of /nic/.
	{says: "no credentials", path: "/nic/register?fqdn=a.example.org", status: 401, want: badauth, challenge: bearer},
	{says: "no credentials, before a parameter is missed", path: "/nic/register", status: 401, want: badauth, challenge: bearer},
	{says: "no credentials: domains", path: "/nic/domains", status: 401, want: badauth, challenge: bearer},
	{says: "a refused Bearer", path: "/nic/hosts", auth: "Bearer nonsense", status: 401, want: "badauth", challenge: bearer, text: true},
	{says: "a refused Bearer: register", path: "/nic/register?fqdn=a.example.org", auth: "Bearer nonsense", status: 401, want: "badauth", challenge: bearer, text: true},
	{says: "a host's secret is none", path: "/nic/unregister?fqdn=mine.example.org", auth: "HOST", status: 401, want: badauth, challenge: bearer},
	{says: "a host's secret is none: domains", path: "/nic/domains", auth: "HOST", status: 401, want: badauth, challenge: bearer},
	{says: "a wrong Basic", path: "/nic/domains", auth: "Basic YTpi", status: 401, want: "badauth", challenge: basic, text: true},
	{says: "malformed credentials: Basic", path: "/nic/register?fqdn=a.example.org", auth: "Basic %%%", status: 401, want: "badauth", challenge: basic, text: true},
	{says: "malformed credentials: another scheme", path: "/nic/hosts", auth: "Digest x", status: 401, want: "badauth", challenge: bearer, text: true},
	{says: "malformed credentials: no token", path: "/nic/hosts", auth: "Bearer", status: 401, want: "badauth", challenge: bearer, text: true},
	{says: "a cookie is none", path: "/nic/register?fqdn=a.example.org", cookie: true, status: 401, want: badauth, challenge: bearer},
	{says: "an API token as Bearer", path: "/nic/unregister", auth: "TOKEN", status: 400, want: `{"status":"error","message":"Missing parameter: fqdn or name, domain"}`},
	{says: "host on the operator's bad list", path: "/nic/register?fqdn=barred.example.org", auth: "alice", status: 403, want: abuse},
	{says: "user on the operator's bad list", path: "/nic/domains", auth: "eve", status: 403, want: abuse},
	{says: "user agent on the bad list", path: "/nic/domains", auth: "alice", agent: "badclient/1", status: 403, want: `{"status":"error","message":"badagent"}`},

	// /nic/register.
	{says: "register: fqdn", path: "/nic/register?fqdn=a1.example.org", auth: "alice", want: made("a1", "example.org", "false", "", "null", "null")},
	{says: "register: name and domain", path: "/nic/register?name=a2&domain=example.org&ip=192.0.2.2&wildcard=true&comment=hello%20you", auth: "alice", want: made("a2", "example.org", "true", "hello you", `"192.0.2.2"`, "null")},
	{says: "register: wildcard 1, IPv6", path: "/nic/register?fqdn=a3.example.org&ip=2001:db8::3&wildcard=1", auth: "alice", want: made("a3", "example.org", "true", "", "null", `"2001:db8::3"`)},
	{says: "register: wildcard yes, with a slash", path: "/nic/register/?fqdn=a4.example.org.&wildcard=YES", auth: "alice", want: made("a4", "example.org", "true", "", "null", "null")},
	{says: "register: wildcard no", path: "/nic/register?fqdn=A5.example.org&wildcard=false", auth: "alice", want: made("a5", "example.org", "false", "", "null", "null")},
	{says: "register: a domain of a group of theirs", path: "/nic/register?fqdn=a6.vo.example.net", auth: "carol", want: made("a6", "vo.example.net", "false", "", "null", "null")},
	{says: "register: Infrastructure Manager", path: "/nic/register?fqdn=im.example.org&comment=IM%20created%20DNS%20entry&wildcard=true", auth: "alice", want: made("im", "example.org", "true", "IM created DNS entry", "null", "null")},
	{says: "register: missing name", path: "/nic/register?domain=example.org", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: name"}`},
	{says: "register: missing domain", path: "/nic/register?name=a", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: domain"}`},
	{says: "register: missing everything", path: "/nic/register", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: name"}`},
	{says: "register: bad ip", path: "/nic/register?fqdn=b.example.org&ip=x", auth: "alice", status: 400, want: `{"status":"error","message":"Invalid IP address: x"}`},
	{says: "register: 999", path: "/nic/register?fqdn=b.example.org&ip=999", auth: "alice", status: 400, want: `{"status":"error","message":"Invalid IP address: 999"}`},
	{says: "register: empty ip", path: "/nic/register?fqdn=b.example.org&ip=", auth: "alice", status: 400, want: `{"status":"error","message":"Invalid IP address: "}`},
	{says: "register: an ip that no host may have", path: "/nic/register?fqdn=b.example.org&ip=127.0.0.1", auth: "alice", status: 400, want: `{"status":"error","message":"Invalid IP address: 127.0.0.1"}`},
	{says: "register: an ip that the domain forbids", path: "/nic/register?fqdn=b.vo.example.net&ip=10.0.0.1", auth: "carol", status: 400, want: `{"status":"error","message":"Invalid IP address: 10.0.0.1"}`},
	{says: "register: a private ip", path: "/nic/register?fqdn=priv.example.org&ip=10.0.0.1", auth: "alice", want: made("priv", "example.org", "false", "", `"10.0.0.1"`, "null")},
	{says: "register: domain unknown", path: "/nic/register?fqdn=b.example.edu", auth: "alice", status: 400, want: nxdomain},
	{says: "register: domain unknown, and a bad name", path: "/nic/register?fqdn=b_.example.edu", auth: "alice", status: 400, want: nxdomain},
	{says: "register: domain not open to this caller", path: "/nic/register?fqdn=b.vo.example.net", auth: "alice", status: 400, want: nxdomain},
	{says: "register: domain open to nobody", path: "/nic/register?fqdn=b.closed.example.com", auth: "carol", status: 400, want: nxdomain},
	{says: "register: a taken name in a domain not open to this caller", path: "/nic/register?fqdn=there.vo.example.net", auth: "alice", status: 400, want: nxdomain},
	{says: "register: a.b.zone where only one label is allowed", path: "/nic/register?fqdn=a.b.example.org", auth: "alice", status: 400, want: nxdomain},
	{says: "register: a.b.zone, in two parameters", path: "/nic/register?name=a.b&domain=example.org", auth: "alice", status: 400, want: nxdomain},
	{says: "register: the domain itself", path: "/nic/register?fqdn=example.org", auth: "alice", status: 400, want: nxdomain},
	{says: "register: bad name", path: "/nic/register?fqdn=b_c.example.org", auth: "alice", status: 400, want: badName},
	{says: "register: bad name, a hyphen first", path: "/nic/register?name=-b&domain=example.org", auth: "alice", status: 400, want: badName},
	{says: "register: bad name, for an administrator", path: "/nic/register?name=b_c&domain=example.org", auth: "zoe", status: 400, want: badName},
	{says: "register: reserved name", path: "/nic/register?fqdn=www.example.org", auth: "alice", status: 400, want: reserved},
	{says: "register: a name server's name", path: "/nic/register?fqdn=ns1.example.org", auth: "alice", status: 400, want: reserved},
	{says: "register: taken name, one's own", path: "/nic/register?fqdn=mine.example.org", auth: "alice", status: 400, want: taken},
	{says: "register: taken name, another's", path: "/nic/register?fqdn=bobs.example.org", auth: "alice", status: 400, want: taken},
	{says: "register: name already has records", path: "/nic/register?fqdn=text.example.org", auth: "alice", status: 502, want: inDNS},
	{says: "register: name already has addresses, for an administrator", path: "/nic/register?fqdn=addresses.example.org", auth: "zoe", status: 502, want: inDNS},
	{says: "register: fqdn without a dot", path: "/nic/register?fqdn=b", auth: "alice", status: 400, want: noDot},
	{says: "register: too long a comment", path: "/nic/register?fqdn=b.example.org&comment=" + strings.Repeat("x", 501), auth: "alice", status: 400, want: `{"status":"error","message":"formerr","errors":{"comment":["must be at most 500 characters"]}}`},
	{says: "register: a query that cannot be read", path: "/nic/register?fqdn=b.example.org&ip=%zz", auth: "alice", status: 400, want: unread},
	{says: "register: a comment that is no text", path: "/nic/register?fqdn=b.example.org&comment=%ff", auth: "alice", status: 400, want: unread},
	{says: "register: a name that is no text", path: "/nic/register?fqdn=b%ff.example.org", auth: "alice", status: 400, want: unread},
	{says: "register: bad name, in other letters", path: "/nic/register?fqdn=b%C3%BC.example.org", auth: "alice", status: 400, want: badName},
	{says: "register: HEAD changes nothing", method: "HEAD", path: "/nic/register?fqdn=b.example.org", auth: "alice", status: 405},
	{says: "register: POST changes nothing", method: "POST", path: "/nic/register?fqdn=b.example.org", auth: "alice", status: 405, want: `{"status":"error","message":"use GET"}`},
	{says: "register: none of these is there now", path: "/nic/unregister?fqdn=b.example.org", auth: "alice", status: 404, want: `{"status":"error","message":"nohost"}`},

	// /nic/unregister.
	{says: "unregister: fqdn", path: "/nic/unregister?fqdn=a2.example.org", auth: "alice", want: `{"status":"ok","message":"Host unregistered.","host":{"fqdn":"a2.example.org","name":"a2","domain":"example.org","wildcard":true,"comment":"hello you"}}`},
	{says: "unregister: name and domain", path: "/nic/unregister?name=a1&domain=example.org", auth: "alice", want: `{"status":"ok","message":"Host unregistered.","host":{"fqdn":"a1.example.org","name":"a1","domain":"example.org","wildcard":false,"comment":""}}`},
	{says: "unregister: again", path: "/nic/unregister?fqdn=a1.example.org", auth: "alice", status: 404, want: `{"status":"error","message":"nohost"}`},
	{says: "unregister: missing", path: "/nic/unregister", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: fqdn or name, domain"}`},
	{says: "unregister: only name", path: "/nic/unregister?name=a", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: domain"}`},
	{says: "unregister: only domain", path: "/nic/unregister?domain=example.org", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: name"}`},
	{says: "unregister: unknown", path: "/nic/unregister?fqdn=none.example.org", auth: "alice", status: 404, want: `{"status":"error","message":"nohost"}`},
	{says: "unregister: no possible name", path: "/nic/unregister?fqdn=a_b.example.org", auth: "alice", status: 404, want: `{"status":"error","message":"nohost"}`},
	{says: "unregister: not the caller's", path: "/nic/unregister?fqdn=bobs.example.org", auth: "alice", status: 401, want: badauth},
	{says: "unregister: an editor's", path: "/nic/unregister?fqdn=edited.example.org", auth: "alice", status: 401, want: badauth},
	{says: "unregister: not the caller's, for an administrator of the domain", path: "/nic/unregister?fqdn=bobs.example.org", auth: "zoe", status: 401, want: badauth},
	{says: "unregister: blocked", path: "/nic/unregister?fqdn=blocked.example.org", auth: "alice", status: 403, want: abuse},
	{says: "unregister: fqdn without a dot", path: "/nic/unregister?fqdn=a", auth: "alice", status: 400, want: noDot},
	{says: "unregister: in other letters", path: "/nic/unregister?fqdn=b%C3%BC.example.org", auth: "alice", status: 404, want: `{"status":"error","message":"nohost"}`},
	{says: "unregister: HEAD changes nothing", method: "HEAD", path: "/nic/unregister?fqdn=mine.example.org", auth: "alice", status: 405},

	// /nic/generate_secret.
	{says: "generate_secret: fqdn", path: "/nic/generate_secret?fqdn=mine.example.org", auth: "alice", want: `{"status":"ok","secret":"SECRET"}`},
	{says: "generate_secret: name and domain", path: "/nic/generate_secret?name=mine&domain=example.org", auth: "alice", want: `{"status":"ok","secret":"SECRET"}`},
	{says: "generate_secret: no such host", path: "/nic/generate_secret?fqdn=none.example.org", auth: "alice", status: 400, want: noHost},
	{says: "generate_secret: not the caller's", path: "/nic/generate_secret?fqdn=bobs.example.org", auth: "alice", status: 400, want: noHost},
	{says: "generate_secret: an editor's", path: "/nic/generate_secret?fqdn=edited.example.org", auth: "alice", status: 400, want: noHost},
	{says: "generate_secret: not the caller's, for an administrator of the domain", path: "/nic/generate_secret?fqdn=bobs.example.org", auth: "zoe", status: 400, want: noHost},
	{says: "generate_secret: a token that may not", path: "/nic/generate_secret?fqdn=mine.example.org", auth: "TOKEN", status: 400, want: noHost},
	{says: "generate_secret: only name", path: "/nic/generate_secret?name=a", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: domain"}`},
	{says: "generate_secret: only domain", path: "/nic/generate_secret?domain=example.org", auth: "alice", status: 400, want: `{"status":"error","message":"Missing parameter: name"}`},
	{says: "generate_secret: fqdn without a dot", path: "/nic/generate_secret?fqdn=a", auth: "alice", status: 400, want: noDot},
	{says: "generate_secret: in other letters", path: "/nic/generate_secret?fqdn=b%C3%BC.example.org", auth: "alice", status: 400, want: noHost},
	{says: "generate_secret: HEAD changes nothing", method: "HEAD", path: "/nic/generate_secret?fqdn=mine.example.org", auth: "alice", status: 405},

	// /nic/domains.
	{says: "domains: public ones", path: "/nic/domains", auth: "alice", want: `{"status":"ok","private":[],"public":[{"name":"example.org","public":true,"available":true,"comment":"","owner":null}]}`},
	{says: "domains: those of a group", path: "/nic/domains/", auth: "carol", want: `{"status":"ok","private":[{"name":"vo.example.net","public":false,"available":true,"comment":"","owner":null}],"public":[{"name":"example.org","public":true,"available":true,"comment":"","owner":null}]}`},
	{says: "domains: HEAD", method: "HEAD", path: "/nic/domains", auth: "alice"},

	// /nic/hosts.
	{says: "hosts: of a domain", path: "/nic/hosts?domain=vo.example.net", auth: "zoe", want: `{"status":"ok","hosts":[]}`},
	{says: "hosts: owned and edited", path: "/nic/hosts", auth: "bob", want: `{"status":"ok","hosts":[` + strings.ReplaceAll(strings.ReplaceAll(mine, "mine", "bobs"), `"192.0.2.1"`, `"192.0.2.2"`) + `,` + empty("edited") + `]}`},
	{says: "hosts: unknown domain", path: "/nic/hosts?domain=example.edu", auth: "alice", status: 400, want: `{"status":"error","message":"Unknown domain: example.edu"}`},
	{says: "hosts: no possible domain", path: "/nic/hosts?domain=a..b", auth: "alice", status: 400, want: `{"status":"error","message":"Unknown domain: a..b"}`},
	{says: "hosts: domain that is not theirs", path: "/nic/hosts?domain=closed.example.com", auth: "alice", status: 400, want: `{"status":"error","message":"Unknown domain: closed.example.com"}`},

	// /api/.
	{says: "api: no credentials", path: "/api/hosts", status: 403, want: `{"detail":"Authentication credentials were not provided."}`},
	{says: "api: a host's secret is none", path: "/api/hosts", auth: "HOST", status: 403, want: `{"detail":"Authentication credentials were not provided."}`},
	{says: "api: malformed credentials", path: "/api/hosts", auth: "Basic %%%", status: 403, want: `{"detail":"Could not resolve issuer of the token."}`},
	{says: "api: a cookie is none", path: "/api/hosts", cookie: true, status: 403, want: `{"detail":"Authentication credentials were not provided."}`},
	{says: "api: a refused one", path: "/api/hosts", auth: "Bearer nonsense", status: 403, want: `{"detail":"Could not resolve issuer of the token."}`},
	{says: "api: one of an issuer that is known", path: "/api/domains", auth: "Bearer " + jwt(issuer), status: 403, want: `{"detail":"Could not resolve issuer of the token."}`},
	{says: "api: one of another issuer", path: "/api/domains", auth: "Bearer " + jwt("https://evil.example.com"), status: 403, want: `{"detail":"Unsupported issuer: https://evil.example.com"}`},
	{says: "api: POST /api/hosts", method: "POST", path: "/api/hosts", auth: "alice", status: 405, want: `{"detail":"POST not allowed on this endpoint"}`},
	{says: "api: a query that is no text", path: "/api/hosts?search=%ff", auth: "alice", status: 400, want: `{"detail":"The query cannot be read."}`},
	{says: "api: DELETE", method: "DELETE", path: "/api/hosts/mine.example.org", auth: "alice", status: 405, want: `{"detail":"Method \"DELETE\" not allowed."}`},
	{says: "api: nothing", path: "/api/", auth: "alice", status: 404, want: `{"detail":"Not found."}`},
	{says: "api: domains", path: "/api/domains", auth: "alice", want: `{"count":1,"next":null,"previous":null,"results":[{"url":"https://dns.example.com/api/domains/example.org","name":"example.org","owner":null,"public":true,"virtual_organization":null,"available":true,"comment":"","created":"TIME","last_update":null}]}`},
	{says: "api: a domain, for its owner", path: "/api/domains/vo.example.net", auth: "zoe", want: `{"url":"https://dns.example.com/api/domains/vo.example.net","name":"vo.example.net","owner":"vo-admins","public":false,"virtual_organization":"vo","available":true,"comment":"","created":"TIME","last_update":null}`},
	{says: "api: a domain, for others", path: "/api/domains/example.org", auth: "alice", status: 403, want: `{"detail":"You do not have permission to perform this action."}`},
	{says: "api: no such domain", path: "/api/domains/example.edu", auth: "zoe", status: 404, want: `{"detail":"No Domain matches the given query."}`},
	{says: "api: a host", path: "/api/hosts/mine.example.org", auth: "alice", want: apiHost("mine", true)},
	{says: "api: a host, with a slash", path: "/api/hosts/MINE.example.org/", auth: "alice", want: apiHost("mine", true)},
	{says: "api: another's host", path: "/api/hosts/bobs.example.org", auth: "alice", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: another's host, for an administrator of the domain", path: "/api/hosts/bobs.example.org", auth: "zoe", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: another's host, for one who edits it", path: "/api/hosts/edited.example.org", auth: "alice", want: apiHost("edited", false)},
	{says: "api: no such host", path: "/api/hosts/none.example.org", auth: "alice", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: no possible host", path: "/api/hosts/a_b", auth: "alice", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: ipv4", path: "/api/hosts/mine.example.org/ipv4", auth: "alice", want: `{"ipv4":"192.0.2.1"}`},
	{says: "api: ipv4 of a host without", path: "/api/hosts/edited.example.org/ipv4", auth: "alice", want: `{"ipv4":null}`},
	{says: "api: ipv4 of another's host", path: "/api/hosts/bobs.example.org/ipv4", auth: "alice", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: certificate, without credentials", path: "/api/hosts/mine.example.org/certificate", status: 403, want: `{"detail":"Authentication credentials were not provided."}`},
	{says: "api: certificate: not available", path: "/api/hosts/mine.example.org/certificate", auth: "alice", status: 404, want: `{"detail":"Certificate not available"}`},
	{says: "api: certificate of another's host", path: "/api/hosts/bobs.example.org/certificate", auth: "alice", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: certificate of another's host, for an administrator of the domain", path: "/api/hosts/bobs.example.org/certificate", auth: "zoe", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: certificate of another's host, ordered by an administrator of the domain", method: "POST", path: "/api/hosts/bobs.example.org/certificate", auth: "zoe", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: certificate: no request", method: "POST", path: "/api/hosts/mine.example.org/certificate", auth: "alice", status: 400, want: `{"csr":["This field is required."]}`}, // all others are in test/cert
	{says: "api: ipv4 of another's host, for an administrator of the domain", path: "/api/hosts/bobs.example.org/ipv4", auth: "zoe", status: 404, want: `{"detail":"No Host matches the given query."}`},
	{says: "api: hosts", path: "/api/hosts", auth: "bob", want: `{"count":2,"next":null,"previous":null,"results":[` + apiHost("bobs", true) + `,` + apiHost("edited", false) + `]}`},
}

// empty is a host without addresses as /nic/hosts shows it.
func empty(name string) string {
	return `{"fqdn":"` + name + `.example.org","name":"` + name + `","domain":"example.org","wildcard":false,"comment":"","available":true,"client_faults":0,"server_faults":0,"abuse_blocked":false,"abuse":false,` +
		`"last_update_ipv4":null,"tls_update_ipv4":false,"ipv4":null,"last_update_ipv6":null,"tls_update_ipv6":false,"ipv6":null}`
}

func apiHost(name string, updated bool) string {
	last, tls := "null", "false"
	if updated {
		last, tls = `"TIME"`, "true"
	}
	return `{"url":"https://dns.example.com/api/hosts/` + name + `.example.org","fqdn":"` + name + `.example.org","name":"` + name + `","domain_name":"example.org","wildcard":false,"comment":"","available":true,"client_faults":0,"server_faults":0,"abuse_blocked":false,"abuse":false,` +
		`"created":"TIME","last_update_ipv4":` + last + `,"tls_update_ipv4":` + tls + `,"last_update_ipv6":` + last + `,"tls_update_ipv6":` + tls + `}`
}

var (
	times   = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"`)
	secrets = regexp.MustCompile(`sph_[0-9A-Za-z]{28}`)
)

// The rows are asked in order: some use what those before them have made.
func TestContract(t *testing.T) {
	w := newWorld(t)
	w.zone(t, "example.org", "everyone")
	w.zone(t, "vo.example.net", "groups")
	w.zone(t, "closed.example.com", "nobody")
	admin := w.as(t.Context(), "admin")
	_, err := w.service.UpdateZonePolicy(admin, &pb.UpdateZonePolicyRequest{Name: "vo.example.net", PrivateAddresses: new(false)})
	check(t, err)
	secret := w.host(t, "alice", "h.example.org")
	w.host(t, "alice", "mine.example.org", "192.0.2.1", "2001:db8::1")
	w.host(t, "alice", "blocked.example.org")
	w.host(t, "bob", "bobs.example.org", "192.0.2.2", "2001:db8::1")
	w.host(t, "bob", "edited.example.org")
	w.host(t, "carol", "there.vo.example.net")
	_, err = w.service.ShareHost(w.as(t.Context(), "bob"), &pb.ShareHostRequest{Fqdn: "edited.example.org", Add: []string{"egi/alice"}})
	check(t, err)
	_, err = w.service.BlockHost(admin, &pb.BlockHostRequest{Fqdn: "blocked.example.org", Reason: "phishing"})
	check(t, err)
	for fqdn, set := range map[string][2]string{"text.example.org": {"TXT", "x"}, "addresses.example.org": {"A", "192.0.2.9"}} {
		_, err = w.service.SetRecordSet(admin, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: set[0], Rdata: []string{set[1]}})
		check(t, err)
	}
	token, err := w.service.CreateToken(w.as(t.Context(), "alice"), &pb.CreateTokenRequest{})
	check(t, err)
	for _, r := range contract {
		t.Run(r.says, func(t *testing.T) {
			switch r.auth {
			case "HOST":
				r.auth = authorization("h.example.org", secret)
			case "TOKEN":
				r.auth = "Bearer " + token.GetSecret()
			}
			r.run(t, w)
		})
	}
}

func (r row) run(t *testing.T, w *world) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	resp, body := w.asks(t, r)
	if r.method == http.MethodHead {
		body = r.want
	}
	body = secrets.ReplaceAllString(times.ReplaceAllString(body, `"TIME"`), "SECRET")
	if resp.StatusCode != r.status || body != r.want {
		t.Errorf("%s: %d\n%s\nwant %d\n%s", r.path, resp.StatusCode, body, r.status, r.want)
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != r.challenge {
		t.Errorf("challenge %q, want %q", got, r.challenge)
	}
	want := "application/json"
	if r.text {
		want = "text/plain"
	}
	if got := resp.Header.Get("Content-Type"); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
