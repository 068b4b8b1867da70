package rights

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
)

const dialWithin = 5 * time.Second

// canBeRoot refuses to let etcd ask for users when nobody could then be root: that could
// be undone only by making etcd anew. withPassword: root has a password that we know.
// Else the certificate must name root, and every member must ask for certificates: one
// that does not knows nobody.
func canBeRoot(ctx context.Context, client *clientv3.Client, c store.Config, withPassword bool) error {
	const op = "turn on authentication"
	refuse := func(why, hint string) error { return model.E(model.Precondition, op, "").Because(why).Hint(hint) }
	if withPassword {
		return nil
	}
	if c.TLS == nil || c.TLS.Cert == nil {
		return refuse("nobody could be root afterwards: there is neither a certificate nor a password",
			"give root's certificate with --etcd-cert and --etcd-key, or --password-dir")
	}
	if name := c.TLS.Cert.Get().Leaf.Subject.CommonName; name != root {
		return refuse("the certificate's common name is \""+name+"\", so its holder would not be root afterwards", "give one whose common name is root")
	}
	members, err := client.MemberList(ctx)
	if err != nil {
		return refused(err, "list etcd's members")
	}
	unseen := map[uint64]string{}
	for _, m := range members.Members {
		unseen[m.ID] = m.Name
	}
	for _, e := range client.Endpoints() {
		if err := asksForCertificates(ctx, e, c.TLS.Config); err != nil {
			return err
		}
		st, err := client.Status(ctx, e)
		if err != nil {
			return model.E(model.Unavailable, op, e).From(err).Hint("every member must be there to be looked at")
		}
		delete(unseen, st.Header.MemberId)
	}
	if len(unseen) > 0 {
		var names []string
		for _, n := range unseen {
			names = append(names, n)
		}
		return refuse("it is not known whether these members ask for certificates: "+strings.Join(names, ", "), "give all members with --etcd-endpoints")
	}
	return nil
}

func asksForCertificates(ctx context.Context, endpoint string, c *tls.Config) error {
	bad := func(err error) *model.Error {
		return model.E(model.Unavailable, "look at etcd's member", endpoint).From(err)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return bad(err)
	}
	asked := false
	c = c.Clone()
	give := c.GetClientCertificate
	c.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return give(i)
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialWithin}, Config: c}
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return bad(err)
	}
	conn.Close()
	if !asked {
		return model.E(model.Precondition, "turn on authentication", "").Because("the member at " + endpoint + " does not ask for certificates, so it would know nobody").
			Hint("start every member with --client-cert-auth and --trusted-ca-file, or use --password-dir")
	}
	return nil
}

// enable turns authentication on and makes sure that root gets in.
func enable(ctx context.Context, client *clientv3.Client, c store.Config, password string) error {
	if _, err := client.AuthEnable(ctx); err != nil {
		return refused(err, "turn on authentication")
	}
	if c.User == "" && password != "" {
		c.User, c.Password = root, password
	}
	again, err := store.Dial(c)
	if err != nil {
		return err
	}
	defer func() { _ = again.Close() }()
	if _, err := again.UserGet(ctx, root); err != nil {
		return model.E(model.Precondition, "be root after turning on authentication", "").From(err).Hint("look at etcd's log")
	}
	return nil
}
