package zone_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

// Each file under testdata/answers is a transcript: "view" with a zone file indented
// below it, "host NAME [ttl=N] [wildcard] [withdrawn] ADDRESS...", "ask NAME TYPE", and what is
// wanted: the code with "aa" or not, every record of every section (of a SOA its
// serial only), or a count of answers.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/answers/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			play(t, f, strings.Split(string(text), "\n"))
		})
	}
}

type transcript struct {
	t       *testing.T
	at      string
	text    strings.Builder
	hosts   []model.Change
	view    *zone.View
	ask     string
	reply   zone.Reply
	want    []string
	pending bool
}

func play(t *testing.T, file string, lines []string) {
	tr := transcript{t: t}
	for i, line := range lines {
		if strings.HasPrefix(line, "\t") {
			tr.text.WriteString(line[1:] + "\n")
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "view":
			tr.check()
			tr.text.Reset()
			tr.hosts, tr.view = nil, nil
		case "host":
			tr.hosts = append(tr.hosts, host(t, rest))
		case "ask":
			tr.check()
			tr.at = fmt.Sprintf("%s:%d", file, i+1)
			tr.question(rest)
		case "want":
			tr.want = append(tr.want, rest)
		case "", "#":
		default:
			t.Fatalf("%s:%d: %q", file, i+1, line)
		}
	}
	tr.check()
}

func (tr *transcript) question(ask string) {
	if tr.view == nil {
		tr.view = viewOf(tr.t, tr.text.String(), tr.hosts)
	}
	name, typ, _ := strings.Cut(ask, " ")
	qtype, ok := dns.StringToType[typ]
	if !ok {
		n, _ := strconv.Atoi(strings.TrimPrefix(typ, "TYPE"))
		qtype = uint16(n)
	}
	z := tr.view.Find(model.NameOf(name), qtype)
	if z == nil {
		tr.t.Fatalf("%s: no zone for %s", tr.at, name)
	}
	tr.ask, tr.reply, tr.pending = ask, z.Answer(name, qtype, 0), true
}

func (tr *transcript) check() {
	if !tr.pending {
		return
	}
	got := lines(tr.reply)
	if n := len(tr.want); n > 0 && strings.HasPrefix(tr.want[n-1], "count ") {
		got = append(got[:1], "count "+strconv.Itoa(len(tr.reply.Answer)))
	}
	if !slices.Equal(got, tr.want) {
		tr.t.Errorf("%s: ask %s\ngot\n\t%s\nwant\n\t%s", tr.at, tr.ask, strings.Join(got, "\n\t"), strings.Join(tr.want, "\n\t"))
	}
	tr.pending, tr.want = false, nil
}

// lines is a reply as transcripts write it.
func lines(r zone.Reply) []string {
	code := dns.RcodeToString[r.Rcode]
	if r.AA {
		code += " aa"
	}
	out := []string{code}
	for _, s := range []struct {
		name string
		rrs  []dns.RR
	}{{"answer", r.Answer}, {"authority", r.Ns}, {"additional", r.Extra}} {
		for _, rr := range s.rrs {
			out = append(out, s.name+" "+line(rr))
		}
	}
	return out
}

func line(rr dns.RR) string {
	h := rr.Header()
	text := fmt.Sprintf("%s %d %s ", h.Name, h.Ttl, dns.Type(h.Rrtype))
	switch rr := rr.(type) {
	case *dns.SOA:
		return text + strconv.Itoa(int(rr.Serial))
	case *dns.RFC3597:
		return text + fmt.Sprintf(`\# %d %s`, len(rr.Rdata)/2, rr.Rdata)
	}
	return text + strings.TrimPrefix(rr.String(), h.String())
}

func host(t *testing.T, text string) model.Change {
	words := strings.Fields(text)
	h, data := &model.Host{}, &model.NameData{}
	main := model.Endpoint{ID: model.MainEndpoint}
	for _, w := range words[1:] {
		if n, ok := strings.CutPrefix(w, "ttl="); ok {
			ttl, _ := strconv.Atoi(n)
			h.TTL = uint32(ttl)
		} else if w == "wildcard" {
			h.Wildcard = true
		} else if w == "withdrawn" {
			data.Withdrawn = true
		} else {
			main.Addresses = append(main.Addresses, netip.MustParseAddr(w))
		}
	}
	if len(main.Addresses) > 0 {
		h.Endpoints = []model.Endpoint{main}
	}
	name, err := model.ParseName(words[0])
	if err != nil {
		t.Fatal(err)
	}
	data.Host = h
	return model.Change{Key: model.Key{Kind: model.NameKey, Name: name}, ModRevision: 1, Name: data}
}

// viewOf is a zone file with hosts put onto its names.
func viewOf(t *testing.T, text string, hosts []model.Change) *zone.View {
	t.Helper()
	changes, err := zonetest.Changes(text, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		h.Key.Zone, h.Key.Generation = changes[0].Key.Zone, 1
		i := slices.IndexFunc(changes, func(c model.Change) bool { return c.Key == h.Key })
		if i < 0 {
			changes = append(changes, h)
		} else {
			changes[i].Name.Host, changes[i].Name.Withdrawn = h.Name.Host, h.Name.Withdrawn
		}
	}
	return zone.Empty(0).Apply(1, changes)
}
