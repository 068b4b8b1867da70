package model

import "iter"

// Owner is a name with the record sets that it is answered with.
type Owner struct {
	Name Name
	Sets []RRset
	Data *NameData // what is stored of it; nil for the wildcard of a host
}

// Served gives names as they are answered: each with its record sets, and the
// wildcards of hosts as the owners "*." below them. Names come in, and owners go out,
// in an order in which each name comes just before those below it; zoneTTL is the TTL
// of hosts that have none of their own.
func Served(names iter.Seq2[Owner, error], zoneTTL uint32, order func(a, b Name) int) iter.Seq2[Owner, error] {
	return func(yield func(Owner, error) bool) {
		var stars []Owner // the first to go out last
		before := func(n Name) bool {
			for len(stars) > 0 && (n == "" || order(stars[len(stars)-1].Name, n) < 0) {
				star := stars[len(stars)-1]
				stars = stars[:len(stars)-1]
				if !yield(star, nil) {
					return false
				}
			}
			return true
		}
		for n, err := range names {
			if err != nil {
				yield(n, err)
				return
			}
			if !before(n.Name) {
				return
			}
			n.Sets = n.Data.Sets(zoneTTL)
			if last := len(stars) - 1; last >= 0 && stars[last].Name == n.Name {
				for _, set := range stars[last].Sets {
					n.Sets = Merge(n.Sets, set)
				}
				stars = stars[:last]
			}
			if sets := n.Data.WildcardSets(zoneTTL); len(sets) > 0 {
				// A name too long for "*." below it has none: nothing can be asked that it would match.
				if star, err := n.Name.Child("*"); err == nil {
					stars = append(stars, Owner{Name: star, Sets: sets})
				}
			}
			if !yield(n, nil) {
				return
			}
		}
		before("")
	}
}
