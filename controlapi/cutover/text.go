package cutover

import (
	"slices"
	"strconv"

	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/model"
	"signpost/internal/store"
)

func ttlAndText(set model.RRset) string {
	if len(set.Data) == 0 {
		return "none"
	}
	return strconv.FormatUint(uint64(set.TTL), 10) + " " + message.RRset(set)
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func typesOf(lists ...[]model.RRset) []uint16 {
	var out []uint16
	for _, sets := range lists {
		for _, s := range sets {
			out = append(out, s.Type)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func describeAll(n store.Named) string {
	text := "owner " + n.Host.Owner + ", " + message.DescribeHost(n)
	if w := facts.DescribeWithdrawal(n.Host); w != "" {
		text += ", " + w
	}
	return text
}
