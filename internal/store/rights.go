package store

// Right is a range of keys in etcd and what may be done with it.
type Right struct {
	Key   string
	Below bool // all keys that begin with Key, which then ends with a slash
	Read  bool
	Write bool // put and delete
}

// NameServerRights is what a name server needs below a prefix: to read what it answers
// from.
func NameServerRights(prefix string) []Right {
	return []Right{{Key: newKeys(prefix).dns(), Below: true, Read: true}}
}

// ControlRights is what a control service needs: all below the prefix.
func ControlRights(prefix string) []Right {
	return []Right{{Key: newKeys(prefix).base(), Below: true, Read: true, Write: true}}
}

// MonitorRights is what the monitor of a site needs: to read what there is to check and
// what others say of it; to write its own votes, registration and sign of life, and that
// answers have changed.
func MonitorRights(prefix, site string) []Right {
	k := newKeys(prefix)
	var out []Right
	for _, key := range []string{k.dns(), k.checks(), k.lives(), k.beats()} {
		out = append(out, Right{Key: key, Below: true, Read: true})
	}
	return append(out,
		Right{Key: k.votes(site), Below: true, Write: true}, Right{Key: k.checker(site), Write: true},
		Right{Key: k.life(site), Write: true}, Right{Key: k.revs(), Below: true, Write: true})
}
