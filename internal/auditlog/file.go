package auditlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

// The bounds of what waits for the disk.
const (
	mostWaiting = 16384    // records
	mostOctets  = 16 << 20 // of all of them
	batch       = 64 << 10 // octets of one write, and one record
)

// Stdout is the path that stands for standard output.
const Stdout = "-"

// File writes records as JSON, one object a line. A nil File writes nothing.
//
// Add never waits. What a slow or broken disk does not take is dropped when mostOctets
// wait, counted in signpost_audit_lines_total, and told in the file itself as soon as it
// takes lines again: a call must not hang on a disk, and a gap must not be taken for
// silence. What can be refused at will has half of the room, so that it does not push
// changes out.
type File struct {
	path    string
	log     *slog.Logger
	lines   *prometheus.CounterVec
	queue   chan *Record
	waiting atomic.Int64 // octets of the queue
	missing atomic.Int64 // lines lost since one was written
	again   chan struct{}
	stdout  *os.File

	// Of Run alone.
	to      *os.File // nil: to be opened
	at      os.FileInfo
	buf     bytes.Buffer
	json    slog.Handler
	failing bool // that it cannot be written was told
	torn    bool // the last write ended within a line
}

// Open opens the file, with mode 0600 if it is not there, to add to its end; of
// Stdout, standard output. Run must follow. log (nil: none) is told of what cannot be
// written, once. Errors: Precondition.
func Open(path string, log *slog.Logger, reg prometheus.Registerer) (*File, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &File{
		path: path, log: log.With("file", path), queue: make(chan *Record, mostWaiting), again: make(chan struct{}, 1), stdout: os.Stdout,
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_audit_lines_total", Help: "Lines of the audit file by what became of them: written, dropped while the disk was slow, failed to be written.",
		}, []string{"fate"}),
	}
	f.json = slog.NewJSONHandler(&f.buf, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.LevelKey:
			return slog.Attr{}
		case slog.MessageKey:
			a.Key = "outcome"
		}
		return a
	}})
	for _, fate := range []string{written, dropped, failed} {
		f.lines.WithLabelValues(fate)
	}
	if err := f.open(); err != nil {
		return nil, model.E(model.Precondition, "open audit file", path).From(err)
	}
	if reg != nil {
		if err := reg.Register(f.lines); err != nil {
			return nil, errors.Join(model.E(model.Internal, "open audit file", path).From(err), f.close())
		}
	}
	return f, nil
}

const (
	written = "written"
	dropped = "dropped"
	failed  = "failed"
)

// Add has a record written. It takes no lock and waits for nobody.
func (f *File) Add(r Record) {
	if f == nil {
		return
	}
	room, slots := int64(mostOctets), mostWaiting
	if r.Outcome.less() {
		room, slots = room/2, slots/2
	}
	size := r.octets()
	if f.waiting.Add(size) <= room && len(f.queue) < slots {
		kept := r // so that nothing is allocated where there is no file
		select {
		case f.queue <- &kept:
			return
		default:
		}
	}
	f.waiting.Add(-size)
	f.lose(dropped, 1)
}

func (f *File) lose(fate string, lines int) {
	f.lines.WithLabelValues(fate).Add(float64(lines))
	f.missing.Add(int64(lines))
}

// Reopen closes the file and opens what is at its path now, for whoever moves it away.
// A file that is no longer at its path is noticed without it when the next line comes.
func (f *File) Reopen() {
	select {
	case f.again <- struct{}{}:
	default: // it is to be done anyway
	}
}

// Run writes until ctx ends and all that was added before is written, then closes the
// file.
func (f *File) Run(ctx context.Context) {
	for {
		select {
		case r := <-f.queue:
			f.writeFrom(r)
		case <-f.again:
			f.reopen()
		case <-ctx.Done():
			for {
				select {
				case r := <-f.queue:
					f.writeFrom(r)
					continue
				default:
				}
				if err := f.close(); err != nil {
					f.log.Error("cannot close the audit file", "error", err)
				}
				return
			}
		}
	}
}

// writeFrom writes a record and those that wait behind it, in one write.
func (f *File) writeFrom(r *Record) {
	f.buf.Reset()
	if f.torn {
		f.buf.WriteByte('\n')
	}
	gap := f.missing.Swap(0)
	if gap > 0 {
		f.line(r.Time, lost, slog.Int64("lines", gap))
	}
	lines := 0
	for more := true; more; {
		f.line(r.Time, r.Outcome, r.Attrs()...)
		f.waiting.Add(-r.octets())
		lines++
		more = false
		if f.buf.Len() < batch {
			select {
			case r, more = <-f.queue:
			default:
			}
		}
	}
	if err := f.write(); err != nil {
		f.missing.Add(gap)
		f.lose(failed, lines)
		f.told(err)
		return
	}
	f.lines.WithLabelValues(written).Add(float64(lines))
	f.told(nil)
}

func (f *File) line(at time.Time, o Outcome, attrs ...slog.Attr) {
	rec := slog.NewRecord(at, 0, string(o), 0)
	rec.AddAttrs(attrs...)
	_ = f.json.Handle(context.Background(), rec) // a buffer takes all, and no handler of slog's own looks at a context
}

// write writes the buffer to what is at the path now.
func (f *File) write() error {
	if f.moved() {
		if err := f.close(); err != nil {
			f.log.Error("cannot close the audit file", "error", err)
		}
	}
	if f.to == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	n, err := f.to.Write(f.buf.Bytes())
	if n > 0 {
		f.torn = f.buf.Bytes()[n-1] != '\n'
	}
	return err
}

// moved reports whether the file that is open is no longer the one at the path.
func (f *File) moved() bool {
	if f.path == Stdout || f.to == nil {
		return false
	}
	at, err := os.Stat(f.path)
	return err != nil || !os.SameFile(at, f.at)
}

func (f *File) open() (err error) {
	if f.path == Stdout {
		f.to = f.stdout
		return nil
	}
	if at, err := os.Stat(f.path); err == nil && !at.Mode().IsRegular() {
		return errors.New("it is no file") // of a pipe, opening may wait for ever
	}
	if f.to, err = os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if f.at, err = f.to.Stat(); err == nil {
		f.torn, err = endsWithin(f.to, f.at.Size())
	}
	if err != nil {
		return errors.Join(err, f.close())
	}
	return nil
}

// endsWithin reports whether a file ends in the middle of a line, as a crash leaves it.
func endsWithin(f io.ReaderAt, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

func (f *File) close() error {
	to := f.to
	f.to = nil
	if to == nil || f.path == Stdout {
		return nil
	}
	return to.Close()
}

func (f *File) reopen() {
	err := f.close()
	if f.to == nil {
		err = errors.Join(err, f.open())
	}
	f.told(err)
}

// told tells of what cannot be written once, and once that it can be again.
func (f *File) told(err error) {
	switch {
	case err != nil && !f.failing:
		f.log.Error("the audit file cannot be written; its lines are lost until it can, and counted in signpost_audit_lines_total", "error", err)
	case err == nil && f.failing:
		f.log.Info("the audit file is written again")
	}
	f.failing = err != nil
}
