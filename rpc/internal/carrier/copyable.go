package carrier

import (
	"slices"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Copying a message has the same result as encoding and decoding it, unless the
// encoding or the decoding fails. They fail for strings that are not UTF-8, for
// missing required fields, and for messages that are nested too deeply. A type
// whose messages can have one of the last two faults is not copyable: its
// messages are encoded. So are messages of proto2, because only they have
// extensions and groups. Strings are checked in each message; if one is not
// UTF-8, the message is encoded, and the encoding returns the error.

// messageType says which parts of a message of a protobuf type must be checked
// before the message is copied.
type messageType struct {
	copyable      bool // messages of the type can be copied
	stringFields  []protoreflect.FieldDescriptor
	messageFields []messageField
}

// messageField is a field whose messages have strings.
type messageField struct {
	field       protoreflect.FieldDescriptor
	messageType *messageType
}

var messageTypes sync.Map // protoreflect.MessageDescriptor → *messageType

// isCopyable reports whether a message can be copied. It is false for types that
// were made at run time: there may be many of them, and messageTypes keeps all
// types.
func isCopyable(m proto.Message) bool {
	if _, dynamic := m.(*dynamicpb.Message); dynamic {
		return false
	}
	r := m.ProtoReflect()
	return r.IsValid() && messageTypeOf(r.Descriptor()).isEncodable(r)
}

// messageTypeOf returns the type of a descriptor. The types outer enclose it.
func messageTypeOf(d protoreflect.MessageDescriptor, outer ...protoreflect.FullName) *messageType {
	if t, ok := messageTypes.Load(d); ok {
		return t.(*messageType)
	}
	t := &messageType{copyable: d.Syntax() == protoreflect.Proto3 && !slices.Contains(outer, d.FullName())}
	for i := 0; t.copyable && i < d.Fields().Len(); i++ {
		t.addField(d.Fields().Get(i), append(outer, d.FullName()))
	}
	// The result does not depend on outer: a type that meets one of them is part
	// of a cycle, or leads to one.
	messageTypes.Store(d, t)
	return t
}

func (t *messageType) addField(f protoreflect.FieldDescriptor, outer []protoreflect.FullName) {
	value, hasString := f, f.Kind() == protoreflect.StringKind
	if f.IsMap() {
		value = f.MapValue()
		hasString = f.MapKey().Kind() == protoreflect.StringKind || value.Kind() == protoreflect.StringKind
	}
	if value.Message() == nil {
		if hasString {
			t.stringFields = append(t.stringFields, f)
		}
		return
	}
	inner := messageTypeOf(value.Message(), outer...)
	t.copyable = t.copyable && inner.copyable
	if hasString || len(inner.stringFields)+len(inner.messageFields) > 0 {
		t.messageFields = append(t.messageFields, messageField{f, inner})
	}
}

// isEncodable reports whether encoding a message succeeds.
func (t *messageType) isEncodable(m protoreflect.Message) bool {
	if !t.copyable {
		return false
	}
	for _, f := range t.stringFields {
		if m.Has(f) && !hasValidStrings(f, m.Get(f)) {
			return false
		}
	}
	for _, f := range t.messageFields {
		if m.Has(f.field) && !f.isEncodable(m.Get(f.field)) {
			return false
		}
	}
	return true
}

// isEncodable reports whether encoding the messages of a field succeeds.
func (f messageField) isEncodable(v protoreflect.Value) bool {
	switch {
	case f.field.IsMap():
		return allEntries(v.Map(), func(k protoreflect.MapKey, v protoreflect.Value) bool {
			return isValidString(f.field.MapKey(), k.Value()) && f.messageType.isEncodable(v.Message())
		})
	case f.field.IsList():
		for i := range v.List().Len() {
			if !f.messageType.isEncodable(v.List().Get(i).Message()) {
				return false
			}
		}
		return true
	}
	return f.messageType.isEncodable(v.Message())
}

// hasValidStrings reports whether all strings of a field are UTF-8.
func hasValidStrings(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch {
	case f.IsMap():
		return allEntries(v.Map(), func(k protoreflect.MapKey, v protoreflect.Value) bool {
			return isValidString(f.MapKey(), k.Value()) && isValidString(f.MapValue(), v)
		})
	case f.IsList():
		for i := range v.List().Len() {
			if !isValidString(f, v.List().Get(i)) {
				return false
			}
		}
		return true
	}
	return isValidString(f, v)
}

// isValidString reports whether a value is UTF-8, or no string.
func isValidString(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	return f.Kind() != protoreflect.StringKind || utf8.ValidString(v.String())
}

func allEntries(m protoreflect.Map, ok func(protoreflect.MapKey, protoreflect.Value) bool) bool {
	all := true
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		all = ok(k, v)
		return all
	})
	return all
}
