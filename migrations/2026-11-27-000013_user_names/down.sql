DROP TRIGGER users_forget_name_keys ON users;
DROP TRIGGER users_give_up_names ON users;
DROP TRIGGER users_change_names ON users;
DROP TRIGGER users_take_names ON users;
DROP FUNCTION enlist_forget_name_keys, enlist_names_of_removed, enlist_names_of_changed, enlist_names_of_added,
    enlist_hand_on_names, enlist_take_names, enlist_mark_clashes, enlist_names_of;
ALTER TABLE users DROP COLUMN name_clash, DROP COLUMN username_key, DROP COLUMN email_key;
DROP FUNCTION enlist_name_key;
DROP TABLE user_names;
