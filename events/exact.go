package events

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// exact reads JSON into v as other languages do: keys are case-sensitive, and of a key that stands twice only the last
// counts. encoding/json alone would take "MARKET" for "market", so that two readers of one event see two prices.
func exact(body []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	body, err := json.Marshal(known(tree, reflect.TypeOf(v).Elem()))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// known leaves of every object only the keys that its struct spells just so.
func known(tree any, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return known(tree, t.Elem())
	case reflect.Slice:
		if list, ok := tree.([]any); ok {
			for i := range list {
				list[i] = known(list[i], t.Elem())
			}
		}
	case reflect.Map:
		if object, ok := tree.(map[string]any); ok {
			for key := range object {
				object[key] = known(object[key], t.Elem())
			}
		}
	case reflect.Struct:
		object, ok := tree.(map[string]any)
		if !ok {
			return tree
		}
		kept := make(map[string]any, t.NumField())
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if value, ok := object[name]; ok {
				kept[name] = known(value, t.Field(i).Type)
			}
		}
		return kept
	}
	return tree
}
