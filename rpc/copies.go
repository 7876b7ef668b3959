package rpc

import (
	"slices"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A copy of a message is what encoding and decoding makes of it, unless its
// encoding fails, or its decoding does: for text that is not UTF-8, for
// required fields that are missing, for messages that are nested too deeply.
// Messages of types that may have the latter two are not copied but encoded,
// and so are those with extensions and groups, which proto2 alone has. Text is
// looked at, and where it is wrong the encoding says so.

// shape says of a type what has to be looked at before a message is copied.
type shape struct {
	simple bool // messages of the type can be copied
	texts  []protoreflect.FieldDescriptor
	subs   []sub
}

// sub is a field with messages that have texts.
type sub struct {
	field protoreflect.FieldDescriptor
	shape *shape
}

var shapes sync.Map // protoreflect.MessageDescriptor → *shape

// copies reports whether a message may be copied. Types that are made at run
// time may be many, and are not kept in shapes.
func copies(m proto.Message) bool {
	if _, dynamic := m.(*dynamicpb.Message); dynamic {
		return false
	}
	r := m.ProtoReflect()
	return r.IsValid() && shapeOf(r.Descriptor()).fits(r)
}

// shapeOf returns the shape of a type, within those of outer.
func shapeOf(d protoreflect.MessageDescriptor, outer ...protoreflect.FullName) *shape {
	if s, ok := shapes.Load(d); ok {
		return s.(*shape)
	}
	s := &shape{simple: d.Syntax() == protoreflect.Proto3 && !slices.Contains(outer, d.FullName())}
	for i := 0; s.simple && i < d.Fields().Len(); i++ {
		s.add(d.Fields().Get(i), append(outer, d.FullName()))
	}
	// The same whatever outer is: a type that meets one of them reaches a circle.
	shapes.Store(d, s)
	return s
}

func (s *shape) add(f protoreflect.FieldDescriptor, outer []protoreflect.FullName) {
	value, text := f, f.Kind() == protoreflect.StringKind
	if f.IsMap() {
		value = f.MapValue()
		text = f.MapKey().Kind() == protoreflect.StringKind || value.Kind() == protoreflect.StringKind
	}
	if value.Message() == nil {
		if text {
			s.texts = append(s.texts, f)
		}
		return
	}
	below := shapeOf(value.Message(), outer...)
	s.simple = s.simple && below.simple
	if text || len(below.texts)+len(below.subs) > 0 {
		s.subs = append(s.subs, sub{f, below})
	}
}

// fits reports whether a message can be encoded.
func (s *shape) fits(m protoreflect.Message) bool {
	if !s.simple {
		return false
	}
	for _, f := range s.texts {
		if m.Has(f) && !isText(f, m.Get(f)) {
			return false
		}
	}
	for _, b := range s.subs {
		if m.Has(b.field) && !b.fit(m.Get(b.field)) {
			return false
		}
	}
	return true
}

// fit reports whether the messages of a field can be encoded.
func (b sub) fit(v protoreflect.Value) bool {
	switch {
	case b.field.IsMap():
		return every(v.Map(), func(k protoreflect.MapKey, v protoreflect.Value) bool {
			return isUTF8(b.field.MapKey(), k.Value()) && b.shape.fits(v.Message())
		})
	case b.field.IsList():
		for i := range v.List().Len() {
			if !b.shape.fits(v.List().Get(i).Message()) {
				return false
			}
		}
		return true
	}
	return b.shape.fits(v.Message())
}

// isText looks at all the text of a field.
func isText(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch {
	case f.IsMap():
		return every(v.Map(), func(k protoreflect.MapKey, v protoreflect.Value) bool {
			return isUTF8(f.MapKey(), k.Value()) && isUTF8(f.MapValue(), v)
		})
	case f.IsList():
		for i := range v.List().Len() {
			if !isUTF8(f, v.List().Get(i)) {
				return false
			}
		}
		return true
	}
	return isUTF8(f, v)
}

// isUTF8 is true of what is no text, too.
func isUTF8(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	return f.Kind() != protoreflect.StringKind || utf8.ValidString(v.String())
}

func every(m protoreflect.Map, ok func(protoreflect.MapKey, protoreflect.Value) bool) bool {
	all := true
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		all = ok(k, v)
		return all
	})
	return all
}
