package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "signpost/proto/signpost/v1"
)

func (c *cli) json() bool { return c.output == "json" }

// printJSON prints a message in the form that REST has, with the same spaces each
// time (protojson varies them on purpose).
func (c *cli) printJSON(m proto.Message) error {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(c.out)
	return err
}

// table prints rows in columns; the last one may hold spaces.
func table(w io.Writer, rows [][]string) error {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
		}
		if _, err := io.WriteString(t, strings.Join(cells, "\t")+"\n"); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// titled is rows without their title line when only what was asked for is wanted.
func (c *cli) titled(rows [][]string) [][]string {
	if c.quiet {
		return rows[1:]
	}
	return rows
}

// clean takes out what would move a terminal's cursor or the table's columns, or show
// letters in another order than they have: text of other people is printed here.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// done prints what a change did: answer is the whole of it, for JSON.
func (c *cli) done(what string, ch *pb.Change, answer proto.Message) error {
	switch {
	case c.json():
		if err := c.printJSON(answer); err != nil {
			return err
		}
	case !c.quiet:
		if !ch.GetChanged() {
			what += ": nothing to change"
		}
		c.say(fmt.Sprintf("%s (revision %d)\n", clean(what), ch.GetRevision()))
		if err := c.visibility(ch.GetVisibility()); err != nil {
			return err
		}
	}
	return behind(ch)
}

func (c *cli) visibility(vs []*pb.Visibility) error {
	var rows [][]string
	for _, v := range vs {
		took := time.Duration(v.GetSeconds() * float64(time.Second)).Round(time.Millisecond).String()
		if v.GetState() == "not asked" {
			took = "-"
		}
		rows = append(rows, []string{v.GetServer(), v.GetState(), took, v.GetDetail()})
	}
	return table(c.out, rows)
}

// behind is the error of a change that was waited for in vain.
func behind(ch *pb.Change) error {
	var slow []string
	for _, v := range ch.GetVisibility() {
		if v.GetState() == "behind" {
			slow = append(slow, v.GetServer())
		}
	}
	if len(slow) == 0 {
		return nil
	}
	return fmt.Errorf("done in revision %d, but not yet served by %s; look again with signpost status", ch.GetRevision(), strings.Join(slow, ", "))
}

// secret prints a new secret after what was done.
func (c *cli) secret(what, secret string, ch *pb.Change, answer proto.Message) error {
	err := c.done(what, ch, answer)
	switch {
	case c.json():
	case secret == "":
		remake := "signpost host rotate-secret"
		switch answer.(type) {
		case *pb.CreateTokenResponse:
			remake = "signpost token create"
		case *pb.RotateEndpointSecretResponse:
			remake = "signpost endpoint rotate-secret"
		}
		return errors.New("this call was made before and its secret is no longer kept; make another with " + remake)
	case c.quiet:
		c.say(secret + "\n")
	default:
		c.say("secret  " + secret + "\nKeep it: it is not shown again.\n")
	}
	return err
}
