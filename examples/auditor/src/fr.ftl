# Les phrases du journal en français.
nothing = rien
field-fields = champs
field-changes = modifications
field-producer = source

data =
    .viewed = { $actor } a consulté { $target }
    .created = { $actor } a créé { $target }
    .updated = { $actor } a modifié { $fields } de { $target }
    .deleted = { $actor } a supprimé { $target }
