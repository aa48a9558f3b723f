{{- define "soonest.name" -}}
{{- if contains "soonest" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-soonest{{ end -}}
{{- end }}

{{- define "soonest.selector" -}}
app.kubernetes.io/name: soonest
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "soonest.labels" -}}
{{ include "soonest.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
