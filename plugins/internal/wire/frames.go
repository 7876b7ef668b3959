package wire

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// message has the methods that vtprotobuf generates.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

const (
	lengthBytes   = 4 // of the length before each frame
	minBuffer     = 64 << 10
	maxKeptBuffer = 1 << 20 // larger buffers are freed after use
)

// frames reads and writes frames, each after its length, on a connection. One
// goroutine at a time may read, and one may write.
type frames struct {
	conn        net.Conn
	writeBuffer []byte
	readBuffer  []byte
	unread      []byte // the part of readBuffer that no message has used yet
	spin        spinRecord
	maxFrame    int // of the next frame that is read, in bytes; 0: MaxFrame
}

// writeMessage writes a message. It blocks until the socket has taken all of it.
func (f *frames) writeMessage(m message) error {
	b, err := f.marshalFrame(m)
	if err != nil {
		return err
	}
	_, err = f.conn.Write(b)
	return err
}

// beginWrite writes as much of a message as the socket takes without blocking.
// If anything is left, it returns the function that writes the rest.
//
// It sets no deadline: a timer for every frame would wake a thread each time.
func (f *frames) beginWrite(m message) (writeRest func() error, err error) {
	b, err := f.marshalFrame(m)
	if err != nil {
		return nil, err
	}
	n, err := writeNonblocking(f.conn, b)
	if err != nil || n == len(b) {
		return nil, err
	}
	return func() error {
		_, err := f.conn.Write(b[n:])
		return err
	}, nil
}

// marshalFrame returns a message after its length. The bytes are valid until
// the next frame is marshalled.
func (f *frames) marshalFrame(m message) ([]byte, error) {
	size := m.SizeVT()
	if size > MaxFrame {
		return nil, fmt.Errorf("a frame has %d bytes; the maximum is %d", size, MaxFrame)
	}
	if cap(f.writeBuffer) < lengthBytes+size {
		f.writeBuffer = make([]byte, lengthBytes+size)
	}
	b := f.writeBuffer[:lengthBytes+size]
	binary.BigEndian.PutUint32(b, uint32(size))
	if _, err := m.MarshalToSizedBufferVT(b[lengthBytes:]); err != nil {
		return nil, err
	}
	if cap(f.writeBuffer) > maxKeptBuffer {
		f.writeBuffer = nil
	}
	return b, nil
}

// readMessage reads a message with unmarshal. The bytes that unmarshal gets are
// overwritten after it returns. After an error that is os.ErrDeadlineExceeded,
// readMessage may be called again and continues where it stopped.
func (f *frames) readMessage(unmarshal func([]byte) error) error {
	if err := f.readAtLeast(lengthBytes); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(f.unread)
	if limit := cmp.Or(f.maxFrame, MaxFrame); int64(size) > int64(limit) {
		return fmt.Errorf("the peer announced a frame of %d bytes; the maximum is %d", size, limit)
	}
	if err := f.readAtLeast(lengthBytes + int(size)); err != nil {
		return err
	}
	err := unmarshal(f.unread[lengthBytes : lengthBytes+size])
	f.unread = f.unread[lengthBytes+size:]
	if len(f.unread) == 0 && cap(f.readBuffer) > maxKeptBuffer {
		f.readBuffer, f.unread = nil, nil
	}
	return err
}

// readAtLeast reads until n bytes are unread. The buffer grows with the bytes
// that arrive, not with the length that was announced.
func (f *frames) readAtLeast(n int) error {
	for len(f.unread) < n {
		f.makeRoom(n)
		got, err := f.readAvailable(f.readBuffer[len(f.unread):cap(f.readBuffer)])
		f.unread = f.readBuffer[:len(f.unread)+got]
		if got > 0 {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = f.conn.SetReadDeadline(time.Time{})
		}
		if errors.Is(err, io.EOF) && len(f.unread) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAvailable reads the bytes that are there, and blocks if there are none.
func (f *frames) readAvailable(b []byte) (int, error) {
	if n := f.spinRead(b); n > 0 {
		return n, nil
	}
	return f.conn.Read(b)
}

// makeRoom moves the unread bytes to the beginning of a buffer that is not full.
func (f *frames) makeRoom(n int) {
	size := cap(f.readBuffer)
	if size < n && len(f.unread) >= size/2 {
		size = max(minBuffer, min(n, 2*size))
	}
	if size != cap(f.readBuffer) {
		f.readBuffer = make([]byte, size)
	}
	f.readBuffer = f.readBuffer[:cap(f.readBuffer)]
	copy(f.readBuffer, f.unread)
	f.unread = f.readBuffer[:len(f.unread)]
}
