package model

import (
	"bufio"
	"io"
	"strings"
)

const mostText = 256 << 10

// lineReader counts the lines that the parser has read, and ends the last one.
type lineReader struct {
	r       *bufio.Reader
	lines   int
	inLine  bool
	text    []byte // since the last record, at most mostText of it
	problem error  // why reading stops here
	begun   bool
}

// record is the text of the record that the parser has just given, and what stood
// before it.
func (l *lineReader) record() string {
	text := string(l.text)
	l.text = l.text[:0]
	return text
}

func (l *lineReader) Read([]byte) (int, error) { return 0, io.EOF } // the parser reads octets

func (l *lineReader) ReadByte() (byte, error) {
	if !l.begun {
		l.begun, l.problem = true, l.mark()
	}
	if l.problem != nil {
		return 0, io.EOF
	}
	if !l.inLine && l.generates() {
		l.problem = errText("$GENERATE is not taken; write its records out, as named-compilezone does")
		return 0, io.EOF
	}
	c, err := l.r.ReadByte()
	if err == io.EOF && l.inLine {
		c, err = '\n', nil
	}
	l.inLine = c != '\n' && err == nil
	if c == '\n' && err == nil {
		l.lines++
	}
	if err == nil {
		if len(l.text) == mostText { // only its end is looked at
			l.text = append(l.text[:0], l.text[mostText/2:]...)
		}
		l.text = append(l.text, c)
	}
	return c, err
}

// mark is the problem with a file that begins with a byte order mark, as editors and
// spreadsheets on Windows write it: it would be taken for a part of the first name.
func (l *lineReader) mark() error {
	start, _ := l.r.Peek(3)
	switch text := string(start); {
	case text == "\xef\xbb\xbf":
		return errText("the file begins with a byte order mark; save it as UTF-8 without one (without BOM), or cut off its first three octets")
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return errText("the file is UTF-16; save it as UTF-8 without a byte order mark (without BOM)")
	}
	return nil
}

func (l *lineReader) generates() bool {
	const word = "$GENERATE"
	start, _ := l.r.Peek(len(word))
	return strings.EqualFold(string(start), word)
}
