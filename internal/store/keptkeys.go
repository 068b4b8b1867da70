package store

import (
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// keptKeys is keys with their values and mod revisions, in the order of their texts.
// A clone shares all that does not change. One goroutine may change the newest, while
// any number read it and older ones.
type keptKeys struct {
	root string // that all keys begin with
	tree *btree.BTreeG[keptKey]
	dirs *folders
}

// keptKey is a key and what is kept of it, in one string, because a control service
// keeps two for every host:
//
//	folder     4 octets   which of folders the key begins with
//	restLen    2
//	mod        8          mod revision
//	rest                  of the key
//	value
type keptKey string

const keptHeader = 14

func (k keptKey) folder() uint32 {
	_ = k[3]
	return uint32(k[0])<<24 | uint32(k[1])<<16 | uint32(k[2])<<8 | uint32(k[3])
}

func (k keptKey) restLen() int { return int(k[4])<<8 | int(k[5]) }

func (k keptKey) mod() (rev int64) {
	for i := 6; i < keptHeader; i++ {
		rev = rev<<8 | int64(k[i])
	}
	return rev
}

func (k keptKey) rest() string  { return string(k[keptHeader : keptHeader+k.restLen()]) }
func (k keptKey) value() string { return string(k[keptHeader+k.restLen():]) }

func pack(folder uint32, rest string, mod int64, value []byte) keptKey {
	var head [keptHeader]byte
	binary.BigEndian.PutUint32(head[:], folder)
	binary.BigEndian.PutUint16(head[4:], uint16(len(rest)))
	binary.BigEndian.PutUint64(head[6:], uint64(mod))
	var b strings.Builder
	b.Grow(keptHeader + len(rest) + len(value))
	b.Write(head[:])
	b.WriteString(rest)
	b.Write(value)
	return keptKey(b.String())
}

// folders is what keys begin with, each once: of a million keys nearly all share one of
// two. None is ever taken out; there is one for each
// generation of a zone that has names, and for each incarnation that has hosts.
type folders struct {
	mu      sync.RWMutex
	numbers map[string]uint32 // one goroutine adds, any number look
	texts   atomic.Pointer[[]string]
}

func newKeptKeys(root string) *keptKeys {
	dirs := &folders{numbers: map[string]uint32{"": 0}}
	dirs.texts.Store(&[]string{""})
	return &keptKeys{root, btree.NewG(32, func(a, b keptKey) bool { return dirs.compare(a, b) < 0 }), dirs}
}

// number gives the number of a folder. Readers that hold the list of before may go
// on with it: what they hold has no newer number.
func (f *folders) number(text string) uint32 {
	n, ok := f.numbers[text]
	if !ok {
		texts := append(*f.texts.Load(), text)
		n = uint32(len(texts) - 1)
		f.texts.Store(&texts)
		f.mu.Lock()
		f.numbers[text] = n
		f.mu.Unlock()
	}
	return n
}

// known gives the number of a folder if it has one.
func (f *folders) known(text string) (n uint32, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, ok = f.numbers[text]
	return n, ok
}

func (f *folders) compare(a, b keptKey) int {
	af, bf := a.folder(), b.folder()
	if af == bf {
		return strings.Compare(a.rest(), b.rest())
	}
	texts := *f.texts.Load()
	return comparePairs(texts[af], a.rest(), texts[bf], b.rest())
}

// comparePairs compares a1+a2 with b1+b2.
func comparePairs(a1, a2, b1, b2 string) int {
	if len(a1) > len(b1) {
		return -comparePairs(b1, b2, a1, a2)
	}
	over := b1[len(a1):]
	if c := strings.Compare(a1, b1[:len(a1)]); c != 0 {
		return c
	}
	n := min(len(over), len(a2))
	if c := strings.Compare(a2[:n], over[:n]); c != 0 {
		return c
	}
	if n < len(over) {
		return -1 // a ends within b1
	}
	return strings.Compare(a2[n:], b2)
}

// probe is a key to look for: all of it is in its rest.
func (k *keptKeys) probe(key string) keptKey { return pack(0, strings.TrimPrefix(key, k.root), 0, nil) }

func (k *keptKeys) put(kv *mvccpb.KeyValue) {
	key := strings.TrimPrefix(string(kv.Key), k.root)
	cut := folderOf(key)
	k.tree.ReplaceOrInsert(pack(k.dirs.number(key[:cut]), key[cut:], kv.ModRevision, kv.Value))
}

// folderOf is how much of a key is its folder: to its last "/", but with the name of a
// host not to the one before an endpoint, or each host would have a folder.
func folderOf(key string) int {
	cut := strings.LastIndexByte(key, '/') + 1
	for _, under := range ofEndpointsUnder {
		if strings.HasPrefix(key, under) {
			return strings.LastIndexByte(key[:max(cut-1, 0)], '/') + 1
		}
	}
	return cut
}

func (k *keptKeys) remove(key string) { k.tree.Delete(k.probe(key)) }

func (k *keptKeys) find(key string) held {
	key = strings.TrimPrefix(key, k.root)
	cut := folderOf(key)
	folder, ok := k.dirs.known(key[:cut])
	if !ok {
		return held{} // nothing was ever in it
	}
	if found, ok := k.tree.Get(pack(folder, key[cut:], 0, nil)); ok {
		return held{[]byte(found.value()), found.mod()}
	}
	return held{}
}

// between gives the keys of [from, to) until take has enough.
func (k *keptKeys) between(from, to string, take func(*mvccpb.KeyValue) bool) {
	k.tree.AscendRange(k.probe(from), k.probe(to), func(found keptKey) bool { return take(k.kv(found)) })
}

func (k *keptKeys) kv(found keptKey) *mvccpb.KeyValue {
	folder := (*k.dirs.texts.Load())[found.folder()]
	key := append(append(append(make([]byte, 0, len(k.root)+len(folder)+found.restLen()), k.root...), folder...), found.rest()...)
	return &mvccpb.KeyValue{Key: key, Value: []byte(found.value()), ModRevision: found.mod()}
}

func (k *keptKeys) clone() *keptKeys { return &keptKeys{k.root, k.tree.Clone(), k.dirs} }
