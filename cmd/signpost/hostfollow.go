package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	pb "signpost/proto/signpost/v1"
)

// followFlags say whom a host follows, and how.
type followFlags struct {
	main, v4, v6 string
	f            *pflag.FlagSet
}

func (w *followFlags) add(cmd *cobra.Command, names cobra.CompletionFunc) {
	w.f = cmd.Flags()
	w.f.StringVar(&w.main, "follows", "", "another host of the zone, with whose addresses its own change; \"\" for none")
	w.f.StringVar(&w.v4, "follow-ipv4", "same", "with --follows: same addresses, off, or INTERFACE/LENGTH, such as 0.0.0.7/24")
	w.f.StringVar(&w.v6, "follow-ipv6", "same", "with --follows: same addresses, off, or INTERFACE/LENGTH: the first LENGTH bits of the other host's, the rest of its own, such as ::1:2:3:4/64")
	_ = cmd.RegisterFlagCompletionFunc("follows", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return names(cmd, nil, begun)
	})
}

// request is what the flags that were given change; nil: nothing.
func (w *followFlags) request() (*pb.Following, error) {
	how := w.f.Changed("follow-ipv4") || w.f.Changed("follow-ipv6")
	switch {
	case w.main == "" && how:
		return nil, badUsage("--follow-ipv4 and --follow-ipv6 say how to follow; say whom with --follows FQDN")
	case w.main == "" && w.f.Changed("follows"):
		return &pb.Following{}, nil
	case w.main == "":
		return nil, nil
	case w.v4 == "off" && w.v6 == "off":
		return nil, badUsage("it would follow in no family; give --follows \"\" to follow nobody")
	}
	return &pb.Following{Main: w.main, Ipv4: unlessOff(w.v4), Ipv6: unlessOff(w.v6)}, nil
}

func unlessOff(text string) string {
	if text == "off" {
		return ""
	}
	return text
}

func followRows(h *pb.Host) (rows [][]string) {
	if f := h.GetFollows(); f != nil {
		text := f.GetMain()
		for _, family := range [][2]string{{"IPv4", f.GetIpv4()}, {"IPv6", f.GetIpv6()}} {
			if family[1] != "" {
				text += ", " + family[0] + " " + family[1]
			}
		}
		rows = append(rows, []string{"follows", text})
	}
	if all := h.GetFollowers(); len(all) > 0 {
		rows = append(rows, []string{"followers", strings.Join(all, " ")})
	}
	return rows
}
