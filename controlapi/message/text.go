package message

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

// DescribeHost is a host for people, as audit records show it.
func DescribeHost(n store.Named) string {
	h := n.Data.Host
	text := "addresses " + Addresses(h.Addresses()) + ", ttl " + strconv.FormatUint(uint64(h.TTL), 10)
	if h.Wildcard {
		text += ", wildcard"
	}
	if n.Host.Follows != nil {
		text += ", follows " + n.Host.Follows.String()
	}
	if n.Host.Comment != "" {
		text += ", comment " + strconv.Quote(n.Host.Comment)
	}
	return text
}

// Addresses is addresses for people.
func Addresses(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

// RRset is a record set for people; "" for an empty one.
func RRset(set model.RRset) string {
	return strings.Join(set.Text(), "; ")
}

// DescribePolicy is a policy for people, as audit records show it.
func DescribePolicy(p *model.ZonePolicy) string {
	d := p.WithDefaults()
	return fmt.Sprintf("admins [%s], register %s, groups [%s], reserved [%s], depth %d, max_hosts %d, max_changes %d, quarantine %s, lease %s, max_records %d, max_octets %d, max_names %d, private_addresses %t",
		strings.Join(Words(p.Admins), " "), p.Register, strings.Join(Words(p.Groups), " "), strings.Join(d.Reserved, " "), d.Depth, d.MaxHosts, d.MaxChanges,
		time.Duration(max(0, d.Quarantine))*time.Second, time.Duration(d.Lease)*time.Second, d.MaxRecords, d.MaxOctets, d.MaxNames, !d.NoPrivate)
}

// Words is names as the API has them.
func Words(names []model.PrincipalName) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// DescribeCertificate is a certificate for people, as audit records show it.
func DescribeCertificate(host model.Name, c *model.Certificate) string {
	if c == nil {
		return ""
	}
	m := Certificate(host, c)
	return "certificate " + m.Serial + " for " + strings.Join(m.Names, " ") + ", key " + m.KeyId + ", until " + c.NotAfter.UTC().Format(time.RFC3339)
}

// sayingNames is what may be said of an endpoint, a host or a site, as the API calls it.
var sayingNames = map[model.Saying]string{model.SayUp: "up", model.SayDown: "down", model.SayDrain: "drain"}

// Listed is names for people.
func Listed(names []model.PrincipalName) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(Words(names), " ")
}

// WordText is a word for people; "" for none.
func WordText(w *model.Word) string {
	if w == nil {
		return ""
	}
	text := sayingNames[w.Say]
	if w.Reason != "" {
		text += " (" + w.Reason + ")"
	}
	if !w.ExpireTime.IsZero() {
		text += " until " + w.ExpireTime.UTC().Format(time.RFC3339)
	}
	return text
}
