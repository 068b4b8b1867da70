package probe

import (
	"context"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// dns is one query over UDP. What is no answer to it is not looked at, so that nobody
// beside the way can speak for the target with a guess.
func (p *Probe) dns(ctx context.Context) model.Reason {
	conn, reason := p.dial(ctx, "udp")
	if conn == nil {
		return reason
	}
	defer conn.Close()
	query := new(dns.Msg).SetQuestion(string(p.check.Query), p.check.QueryType)
	wire, err := query.Pack()
	if err != nil {
		return model.CheckerInDifficulty // a name that passed model.Check can be packed
	}
	if _, err := conn.Write(wire); err != nil {
		return noAnswer(err)
	}
	buf := make([]byte, dns.MinMsgSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return noAnswer(err)
		}
		// The header and the question are enough, and there are no others to wait for.
		answer := new(dns.Msg)
		if err := answer.Unpack(buf[:n]); err != nil && len(answer.Question) == 0 || !answers(answer, query) {
			continue
		}
		if answer.Rcode != p.check.Rcode {
			return model.UnexpectedRcode
		}
		return model.Fine
	}
}

func answers(a, q *dns.Msg) bool {
	if a.Id != q.Id || !a.Response || a.Opcode != q.Opcode {
		return false
	}
	if len(a.Question) == 0 { // some servers leave it out when they refuse (RFC 1035 4.1.1 lets them)
		return a.Rcode != dns.RcodeSuccess
	}
	name, err := model.ParseName(a.Question[0].Name)
	return err == nil && string(name) == q.Question[0].Name && a.Question[0].Qtype == q.Question[0].Qtype
}
