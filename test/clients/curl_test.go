package clients

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// curl runs the real one, and wants it to print something.
func (c *client) curl(want string, args ...string) (printed string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "curl", append([]string{"-s"}, args...)...)
	cmd.Env = append(os.Environ(), "no_proxy=*")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		c.t.Errorf("curl %v: %v, without %q:\n%s", args, err, want, out)
	}
	return string(out)
}

// with is a URL that says who is asking, as scripts write it.
func (c *client) with(user, secret, path string) string {
	return strings.Replace(c.url, "://", "://"+user+":"+secret+"@", 1) + path
}

func TestCurl(t *testing.T) {
	c := newClient(t, "curl", "curl")
	token, err := os.ReadFile(c.token)
	if err != nil {
		t.Fatal(err)
	}
	bearer := []string{"-H", "Authorization: Bearer " + strings.TrimSpace(string(token))}
	const name, other = "front.fedcloud.test", "back.fedcloud.test"
	said := c.curl(`"message":"Host registered."`, append(bearer, c.url+"/nic/register?fqdn="+name+"&wildcard=yes")...)
	_, secret, _ := strings.Cut(said, `"update_secret":"`)
	secret, _, _ = strings.Cut(secret, `"`)
	c.curl("good 192.0.2.7", c.with(name, secret, "/nic/update?myip=192.0.2.7"))
	c.answers(name, dns.TypeA, "192.0.2.7")
	c.answers("any."+name, dns.TypeA, "192.0.2.7")
	c.curl("nochg 192.0.2.7", c.with(name, secret, "/nic/update?hostname="+name+"&myip=192.0.2.7"))
	c.curl("badauth", c.with(name, "wrong", "/nic/update?myip=192.0.2.8"))
	c.curl("good 2001:db8::7", "-u", name+":"+secret, c.url+"/nic/update?myip=2001:db8::7")
	c.answers(name, dns.TypeA, "192.0.2.7")
	c.answers(name, dns.TypeAAAA, "2001:db8::7")
	c.curl("good 127.0.0.1", c.with(name, secret, "/nic/update")) // where it comes from
	c.answers(name, dns.TypeA, "127.0.0.1")
	c.curl("deleted AAAA", c.with(name, secret, "/nic/delete?myip=::"))
	c.answers(name, dns.TypeAAAA)

	c.create(other)
	if said := c.curl("good", append(bearer, c.url+"/nic/update?hostname="+name+",none.fedcloud.test,"+other+"&myip=192.0.2.9,2001:db8::9")...); said != "good 192.0.2.9,2001:db8::9\nnohost\ngood 192.0.2.9,2001:db8::9" {
		t.Errorf("several hosts: %q", said)
	}
	for _, n := range []string{name, other} {
		c.answers(n, dns.TypeA, "192.0.2.9")
		c.answers(n, dns.TypeAAAA, "2001:db8::9")
	}
	c.curl(`"message":"Host unregistered."`, append(bearer, c.url+"/nic/unregister?fqdn="+name)...)
	c.answers(name, dns.TypeA)
}
