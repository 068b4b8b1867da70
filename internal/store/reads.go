package store

// held is what a key held; the zero held is of a key that was not there.
type held struct {
	value []byte
	mod   int64 // mod revision
}

func (h held) there() bool { return h.mod != 0 }

// read is a key that a Tx has looked at.
type read struct {
	key string
	held
	exact bool // to be compared by itself at commit
	write int  // the place in writes of what is planned for it, plus 1; 0: nothing
}

// fewReads is how many keys are found faster by going through them: most changes look
// at fewer.
const fewReads = 16

// reads is all keys that a Tx has looked at, in the order in which it did.
type reads struct {
	all   []read
	index map[string]int // places in all; nil while they are few
}

// find is the place of a key in all; -1 when it was not looked at.
func (r *reads) find(key string) int {
	if r.index != nil {
		if i, ok := r.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range r.all {
		if r.all[i].key == key {
			return i
		}
	}
	return -1
}

// add takes note of a key that was not looked at before, and gives its place.
func (r *reads) add(key string, h held) int {
	if r.all == nil {
		r.all = make([]read, 0, 8)
	}
	r.all = append(r.all, read{key: key, held: h})
	switch {
	case r.index != nil:
		r.index[key] = len(r.all) - 1
	case len(r.all) > fewReads:
		r.index = make(map[string]int, 2*fewReads)
		for i := range r.all {
			r.index[r.all[i].key] = i
		}
	}
	return len(r.all) - 1
}

// inexactly runs look, after which the same keys are to be compared by themselves as before.
func (r *reads) inexactly(look func() error) error {
	before := make([]bool, len(r.all))
	for i := range r.all {
		before[i] = r.all[i].exact
	}
	defer func() {
		for i := range r.all {
			r.all[i].exact = i < len(before) && before[i]
		}
	}()
	return look()
}
