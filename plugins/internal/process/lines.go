package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

const (
	maxLine      = 64 << 10 // bytes of a line that are kept
	tailLines    = 20
	maxTailBytes = 1 << 10 // of one line of the tail
)

// readLines calls f with each line, without its line ending, until the end of the
// stream. Of a line longer than maxLine it passes the beginning, and the number of
// bytes that were cut. It never stops reading before the end: the writer would
// block.
func readLines(r io.Reader, f func(line []byte, cut int)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			line = append([]byte(nil), line...)
			var rest int
			rest, err = skipLine(b)
			f(line, rest)
		} else if len(line) > 0 {
			f(trimEnd(line), 0)
		}
		if err != nil {
			return
		}
	}
}

func skipLine(b *bufio.Reader) (skipped int, err error) {
	for {
		part, err := b.ReadSlice('\n')
		skipped += len(part)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return skipped, err
		}
	}
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// printable replaces the characters that could harm a terminal or a log.
func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(string(line), "\uFFFD"))
}

// tail keeps the last lines.
type tail struct {
	mu   sync.Mutex
	kept []string
}

func (t *tail) add(line string, cut int) {
	if len(line) > maxTailBytes {
		cut += len(line) - maxTailBytes
		line = strings.ToValidUTF8(line[:maxTailBytes], "")
	}
	if cut > 0 {
		line += fmt.Sprintf(" … (%d bytes more)", cut)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, line)
	if len(t.kept) > tailLines {
		t.kept = append(t.kept[:0], t.kept[1:]...)
	}
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.kept...)
}
