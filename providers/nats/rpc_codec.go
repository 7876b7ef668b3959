package nats

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"fairlead.dev/rpc/driver"
)

// A packet holds its number in its direction, its kind, and its body. Numbers are
// varints, and texts are preceded by their length.

type packetKind byte

const (
	packetOpen   packetKind = 'O' // a call and its first frames; to the service
	packetFrames packetKind = 'F' // frames, or the last piece of them
	packetPiece  packetKind = 'P' // a piece of frames that are longer than a message
	packetBeat   packetKind = 'H' // a heartbeat: the sender lives
	packetClose  packetKind = 'C' // the sender has closed its end
	packetReset  packetKind = 'R' // the sender knows no such stream; it has no number
	packetBatch  packetKind = 'B' // packets of several calls, see rpc_batch.go
	packetRefuse packetKind = 'N' // the server that got the call does not take it; it has no number
)

type packet struct {
	number uint64
	kind   packetKind
	body   []byte
}

// packetHeader is the most that a packet has before its body.
const packetHeader = binary.MaxVarintLen64 + 1

func appendPacket(b []byte, p packet) []byte {
	b = binary.AppendUvarint(b, p.number)
	return append(append(b, byte(p.kind)), p.body...)
}

var errPacket = errors.New("a packet that this provider did not write")

func parsePacket(b []byte) (p packet, err error) {
	d := decoder{b: b}
	p.number = d.number()
	if len(d.b) == 0 {
		return p, errPacket
	}
	p.kind, p.body = packetKind(d.b[0]), d.b[1:]
	return p, d.err
}

func appendCall(b []byte, c driver.Call) []byte {
	b = appendText(b, c.Method)
	b = appendFields(b, c.Metadata)
	return binary.AppendUvarint(b, uint64(max(c.Timeout, 0)))
}

// parseOpen takes a call and its first frames apart.
func parseOpen(b []byte) (c driver.Call, first []driver.Frame, err error) {
	d := decoder{b: b}
	c.Method = string(d.bytes())
	c.Metadata = d.fields()
	c.Timeout = time.Duration(d.number())
	first = d.frames(2) // a message and the end
	return c, first, d.err
}

func appendFields(b []byte, fields []driver.Field) []byte {
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = appendText(b, f.Name)
		b = appendBytes(b, f.Value)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// roomFor returns about how many bytes frames take.
func roomFor(frames []driver.Frame) int {
	n := 0
	for _, f := range frames {
		n += 16 + len(f.Payload) + 32*len(f.Metadata)
	}
	return n
}

func appendFrames(b []byte, frames []driver.Frame) []byte {
	for _, f := range frames {
		b = append(b, byte(f.Kind))
		switch f.Kind {
		case driver.FrameHeaders:
			b = appendFields(b, f.Metadata)
		case driver.FrameMessage:
			b = appendBytes(b, f.Payload)
		case driver.FrameTrailers:
			b = appendFields(b, f.Metadata)
			b = binary.AppendUvarint(b, uint64(f.Status.Code))
			b = appendText(b, f.Status.Message)
			b = appendBytes(b, f.Status.Details)
		case driver.FrameCredit:
			b = binary.AppendUvarint(b, uint64(max(f.Credit, 0)))
		}
	}
	return b
}

func parseFrames(b []byte) ([]driver.Frame, error) {
	d := decoder{b: b}
	frames := d.frames(3) // of a unary call
	return frames, d.err
}

// decoder reads what the functions above append. After an error it reads
// nothing more.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	d.b, d.err = nil, errPacket
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// bytes returns a slice that shares no spare capacity with its neighbours.
func (d *decoder) bytes() []byte {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fields() (fields []driver.Field) {
	for n := d.number(); n > 0 && d.err == nil; n-- {
		fields = append(fields, driver.Field{Name: string(d.bytes()), Value: d.bytes()})
	}
	return fields
}

func (d *decoder) frames(most int) []driver.Frame {
	if len(d.b) == 0 {
		return nil
	}
	frames := make([]driver.Frame, 0, most)
	for len(d.b) > 0 {
		f := driver.Frame{Kind: driver.FrameKind(d.b[0])}
		d.b = d.b[1:]
		switch f.Kind {
		case driver.FrameHeaders:
			f.Metadata = d.fields()
		case driver.FrameMessage:
			f.Payload = d.bytes()
		case driver.FrameHalfClose:
		case driver.FrameTrailers:
			f.Metadata = d.fields()
			f.Status.Code = uint32(d.number())
			f.Status.Message = string(d.bytes())
			f.Status.Details = d.bytes()
		case driver.FrameCredit:
			f.Credit = int(min(d.number(), math.MaxInt32))
		default:
			d.fail()
		}
		if d.err != nil {
			return nil
		}
		frames = append(frames, f)
	}
	return frames
}
