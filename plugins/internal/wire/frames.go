package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// message is what vtprotobuf generates.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

const (
	prefix     = 4
	firstRead  = 64 << 10
	keepBuffer = 1 << 20 // greater buffers are given back after use
)

// frames reads and writes frames with their length before them. One goroutine
// at a time reads, and one writes.
type frames struct {
	conn net.Conn
	out  []byte
	in   []byte // what was read and not yet taken
	buf  []byte // in is a part of it
	luck luck
}

// write writes a message, for as long as it takes; or, if it has to be quick,
// without waiting: it then returns what writes the rest.
func (f *frames) write(m message, quick bool) (rest func() error, err error) {
	size := m.SizeVT()
	if size > MaxFrame {
		return nil, fmt.Errorf("a frame of %d bytes; the greatest has %d", size, MaxFrame)
	}
	if cap(f.out) < prefix+size {
		f.out = make([]byte, prefix+size)
	}
	b := f.out[:prefix+size]
	binary.BigEndian.PutUint32(b, uint32(size))
	if _, err := m.MarshalToSizedBufferVT(b[prefix:]); err != nil {
		return nil, err
	}
	if cap(f.out) > keepBuffer {
		f.out = nil
	}
	if !quick {
		_, err = f.conn.Write(b)
		return nil, err
	}
	return f.writeQuickly(b)
}

// writeQuickly writes as much as the socket takes at once. There is no deadline
// in it: a timer for every frame would wake a thread each time.
func (f *frames) writeQuickly(b []byte) (rest func() error, err error) {
	n, err := tryWrite(f.conn, b)
	if err != nil || n == len(b) {
		return nil, err
	}
	return func() error {
		_, err := f.conn.Write(b[n:])
		return err
	}, nil
}

// read reads a message, with unmarshal, which gets bytes that are overwritten
// after it. After an error with os.ErrDeadlineExceeded it may be called again
// and goes on where it was.
func (f *frames) read(unmarshal func([]byte) error) error {
	if err := f.fill(prefix); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(f.in)
	if size > MaxFrame {
		return fmt.Errorf("a frame of %d bytes was announced; the greatest has %d", size, MaxFrame)
	}
	if err := f.fill(prefix + int(size)); err != nil {
		return err
	}
	err := unmarshal(f.in[prefix : prefix+size])
	f.in = f.in[prefix+size:]
	if len(f.in) == 0 && cap(f.buf) > keepBuffer {
		f.buf, f.in = nil, nil
	}
	return err
}

// fill reads until there are n bytes. The buffer grows with what comes, not
// with what was announced.
func (f *frames) fill(n int) error {
	for len(f.in) < n {
		f.room(n)
		got, err := f.some(f.buf[len(f.in):cap(f.buf)])
		f.in = f.buf[:len(f.in)+got]
		if got > 0 {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = f.conn.SetReadDeadline(time.Time{})
		}
		if errors.Is(err, io.EOF) && len(f.in) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// some reads what there is, and waits if there is nothing.
func (f *frames) some(b []byte) (int, error) {
	if n := f.poll(b); n > 0 {
		return n, nil
	}
	return f.conn.Read(b)
}

// room makes what was read stand at the beginning of a buffer that is not full.
func (f *frames) room(n int) {
	size := cap(f.buf)
	if size < n && len(f.in) >= size/2 {
		size = max(firstRead, min(n, 2*size))
	}
	if size != cap(f.buf) {
		f.buf = make([]byte, size)
	}
	f.buf = f.buf[:cap(f.buf)]
	copy(f.buf, f.in)
	f.in = f.buf[:len(f.in)]
}
