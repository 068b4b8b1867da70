package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/model"
)

// A snapshot file is, with numbers as unsigned varints and texts as their length and
// octets:
//
//	"signpost snapshot\n", format version, prefix, cluster id, revision,
//	for each key: how many octets at its beginning are those of the key before, the
//	  rest of it, mod revision, value,
//	a 0 and an empty rest, the number of keys, SHA-256 of all that is before
//
// Keys are without <prefix>/v1/. Nothing may follow. Every format begins and ends so.
// Values are as in etcd and carry their own schema. Format 1, which is still read, has
// every key in full, and an empty one at the end.
const (
	snapshotMagic  = "signpost snapshot\n"
	snapshotFormat = 2
	wholeKeys      = 1 // the format
)

// Snapshot says what a snapshot file is of.
type Snapshot struct {
	Prefix   string // as in Config
	Cluster  uint64
	Revision int64
}

// snapshotKeys makes keys without the prefix, which the file has once.
var snapshotKeys = keys{}

// WriteSnapshot puts a snapshot at path in one step: whatever happens, path is the
// file from before or the whole new one. The file from before is kept at path.1.
// all is written as it comes; nothing is held in memory.
//
// Errors are of kind Unavailable.
func WriteSnapshot(path string, h Snapshot, all iter.Seq[model.Change]) error {
	if err := writeSnapshot(path, h, all); err != nil {
		return model.E(model.Unavailable, "write snapshot", path).Hint("check that its folder is there, writable and not full").From(err)
	}
	return nil
}

func writeSnapshot(path string, h Snapshot, all iter.Seq[model.Change]) error {
	removeLeftovers(path)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // not there any more when all went well
	err = errors.Join(encodeSnapshot(f, h, all), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path, older(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func older(path string) string { return path + ".1" }

// removeLeftovers removes what writers left that died an hour ago or more.
func removeLeftovers(path string) {
	left, _ := filepath.Glob(path + ".tmp-*")
	for _, name := range left {
		if i, err := os.Stat(name); err == nil && time.Since(i.ModTime()) > time.Hour {
			os.Remove(name)
		}
	}
}

// syncDir makes renames in a folder survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func encodeSnapshot(to io.Writer, h Snapshot, all iter.Seq[model.Change]) error {
	sum := sha256.New()
	w := snapshotWriter{out: bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<18)}
	w.out.WriteString(snapshotMagic)
	w.number(snapshotFormat)
	w.text([]byte(h.Prefix))
	w.number(h.Cluster)
	w.number(uint64(h.Revision))
	keys := bulkKeys{keys: snapshotKeys}
	n := uint64(0)
	for c := range all {
		if c.Deleted {
			continue
		}
		w.key(keys.key(c.Key))
		w.number(uint64(c.ModRevision))
		w.text(c.Raw)
		n++
	}
	w.number(0)
	w.text(nil)
	w.number(n)
	if err := w.out.Flush(); err != nil { // the first error of all
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

type snapshotWriter struct {
	out  *bufio.Writer
	buf  []byte
	last []byte // the key before
}

func (w *snapshotWriter) key(key []byte) {
	n := 0
	for n < len(key) && n < len(w.last) && key[n] == w.last[n] {
		n++
	}
	w.number(uint64(n))
	w.text(key[n:])
	w.last = append(w.last[:0], key...)
}

func (w *snapshotWriter) number(n uint64) {
	w.buf = binary.AppendUvarint(w.buf[:0], n)
	w.out.Write(w.buf)
}

func (w *snapshotWriter) text(b []byte) {
	w.number(uint64(len(b)))
	w.out.Write(b)
}

// Loaded is a snapshot that was read and found whole.
type Loaded struct {
	Snapshot
	// All gives its keys. A value that this version cannot read is Bad, not an error;
	// after an error nothing that was given may be used. The Raw of all is parts of one
	// large piece of memory, which stays as long as any of them is held.
	All iter.Seq2[model.Change, error]
	// Skipped says why the newest file was not used but the one before; nil: it was.
	Skipped error
}

// ReadSnapshot reads the file at path or, when that cannot be used, the one before
// it. A file is checked to its last octet before anything of it is given out.
//
// Errors are about the newest file: NotFound, Invalid when it is damaged,
// Precondition when it is of another prefix or a newer version, Unavailable when it
// cannot be read.
func ReadSnapshot(path, prefix string) (*Loaded, error) {
	l, err := readSnapshotFile(path, prefix)
	if err == nil {
		return l, nil
	}
	l, e := readSnapshotFile(older(path), prefix)
	switch {
	case e == nil:
		l.Skipped = err
		return l, nil
	case model.KindOf(err) == model.NotFound && model.KindOf(e) != model.NotFound:
		return nil, e // there is only the older one
	}
	return nil, err
}

func readSnapshotFile(path, prefix string) (*Loaded, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, model.E(model.NotFound, "read snapshot", path).Because("there is no such file").From(err)
	case err != nil:
		return nil, model.E(model.Unavailable, "read snapshot", path).From(err)
	}
	return parseSnapshot(path, data, prefix)
}

// parseSnapshot keeps data: the values given out are parts of it.
func parseSnapshot(path string, data []byte, prefix string) (*Loaded, error) {
	refuse := func(k model.Kind, why, hint string) (*Loaded, error) {
		return nil, model.E(k, "read snapshot", path).Because(why).Hint(hint)
	}
	r := &snapshotReader{data: data}
	if !bytes.Equal(r.take(uint64(len(snapshotMagic))), []byte(snapshotMagic)) {
		return refuse(model.Invalid, "it is no snapshot or its beginning is damaged", "")
	}
	body := len(data) - sha256.Size
	if body < r.at || sha256.Sum256(data[:body]) != [sha256.Size]byte(data[body:]) {
		return refuse(model.Invalid, "it is damaged: the checksum is wrong", "")
	}
	r.data = data[:body]
	if r.format = r.number(); !r.failed && r.format != snapshotFormat && r.format != wholeKeys {
		return refuse(model.Precondition, fmt.Sprintf("it is of format %d, this version reads up to %d", r.format, snapshotFormat), "use the version that wrote it")
	}
	l := &Loaded{Snapshot: Snapshot{Prefix: string(r.text()), Cluster: r.number(), Revision: int64(r.number())}}
	if !r.failed && strings.TrimRight(l.Prefix, "/") != strings.TrimRight(prefix, "/") {
		return refuse(model.Precondition, fmt.Sprintf("it is of prefix %q, not %q", l.Prefix, prefix), "give every prefix a snapshot of its own")
	}
	entries := *r
	if !r.walk() {
		return refuse(model.Invalid, "it was written badly", "")
	}
	l.All = entries.changes
	return l, nil
}
